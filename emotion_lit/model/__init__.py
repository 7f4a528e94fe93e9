"""The model: encoder, classification head, tuning modes, and checkpoints."""
