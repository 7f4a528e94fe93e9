"""Training and scoring with Lightning."""
