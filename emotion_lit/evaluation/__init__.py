"""Metrics, confidence intervals, calibration, baselines, contamination and error analysis, computed on arrays."""
