"""Inference with trained models: engines, prediction, bulk labeling, and export."""
