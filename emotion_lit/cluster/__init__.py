"""Labeling with many processes and machines: columns in and out, shards, and Ray."""
