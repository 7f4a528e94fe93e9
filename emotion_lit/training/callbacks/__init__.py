"""What happens around training and prediction: scores, reports, progress, files."""
