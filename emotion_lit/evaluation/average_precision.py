"""Average precision of each class, and its mean."""

import torch
from torch import Tensor


def average_precision(probabilities: Tensor, truth: Tensor) -> Tensor:
    """The area under each class's precision-recall curve: scikit-learn's ``average_precision_score``.

    Args:
        probabilities: ``[rows, classes]``; NaN ranks below all others.
        truth: The true classes of each row, ``[rows, classes]``.

    Returns:
        ``[classes]``; NaN for a class that no row has.
    """
    rising, order = (-probabilities.nan_to_num(nan=-1.0)).T.contiguous().sort(dim=1)
    hits = truth.T.gather(1, order).to(probabilities.dtype)
    rows = torch.searchsorted(rising, rising, right=True)  # that are at least as probable as each
    precision = hits.cumsum(1).gather(1, rows - 1) / rows
    return (precision * hits).sum(1) / hits.sum(1)


def macro_average(values: Tensor) -> Tensor:
    """The mean over the classes that have a value; zero if none has.

    Args:
        values: ``[classes]``; NaN for a class without a value.
    """
    return values.nanmean().nan_to_num(nan=0.0)
