"""Draws and writes: reports, figures, tables, comparisons of runs, model cards, and what TensorBoard shows."""
