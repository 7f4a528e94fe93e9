"""The encoder, what trains of it, and what is kept of it."""
