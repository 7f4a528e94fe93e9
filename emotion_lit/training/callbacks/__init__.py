"""Lightning callbacks: checkpoints, scores, reports, progress and prediction files."""
