"""Hyperparameter search with Optuna: trials of `fit` that share a budget, and a final comparison on the test split."""
