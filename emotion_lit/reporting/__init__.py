"""Reports, figures, tables, comparisons of runs, and model cards."""
