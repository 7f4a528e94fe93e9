"""Scores that are logged while training."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelExactMatch,
    MultilabelF1Score,
)
from torchmetrics.utilities import dim_zero_cat


class AnyAccuracy(Metric):
    """The share of rows whose prediction is one of the row's classes."""

    full_state_update = False
    hits: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Adds a batch.

        Args:
            preds: Scores, ``[batch, classes]``.
            targets: Above zero for the classes of a row, ``[batch, classes]``.
        """
        self.hits += (targets.gather(1, preds.argmax(dim=1, keepdim=True)) > 0).sum()
        self.rows += len(preds)

    def compute(self) -> Tensor:
        """The share so far."""
        return self.hits / self.rows


def average_precision(probabilities: Tensor, truth: Tensor) -> Tensor:
    """The average precision of each class: the area under its curve of precision and recall, as scikit-learn has it.

    Args:
        probabilities: ``[rows, classes]``; what is not a number stands below all others.
        truth: Which classes a row has, ``[rows, classes]``.

    Returns:
        ``[classes]``; not a number for a class that no row has.
    """
    rising, order = (-probabilities.nan_to_num(nan=-1.0)).T.contiguous().sort(dim=1)
    there = truth.T.gather(1, order).to(probabilities.dtype)
    rows = torch.searchsorted(rising, rising, right=True)  # that are at least as probable as each
    precision = there.cumsum(1).gather(1, rows - 1) / rows
    return (precision * there).sum(1) / there.sum(1)


def macro_average(values: Tensor) -> Tensor:
    """The mean over the classes that have a value; zero if none has.

    Args:
        values: ``[classes]``, not a number where there is none.
    """
    return values.nanmean().nan_to_num(nan=0.0)


class MacroAveragePrecision(Metric):
    """The mean average precision of the classes that a row has: how well they are ranked, whatever the thresholds."""

    full_state_update = False
    probabilities: list[Tensor]
    truth: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("truth", [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Adds a batch.

        Args:
            probabilities: ``[batch, classes]``.
            targets: Above zero for the classes of a row, ``[batch, classes]``.
        """
        self.probabilities.append(probabilities.float())
        self.truth.append(targets > 0)

    def compute(self) -> Tensor:
        """The mean so far."""
        return macro_average(average_precision(dim_zero_cat(self.probabilities), dim_zero_cat(self.truth)))


def default_monitor(multi_label: bool) -> str:
    """The metric that tells which checkpoint is the best.

    Args:
        multi_label: Whether a text may have several classes: as long as no thresholds are chosen, F1 may stay at zero
            while a model learns.
    """
    return "val/macro_average_precision" if multi_label else "val/macro_f1"


def metric_collection(classes: int, multi_label: bool, stage: str) -> MetricCollection:
    """The metrics of one stage.

    Args:
        classes: How many classes there are.
        multi_label: Whether a row may have several; the metrics then take decisions, 0 or 1, in place of probabilities.
        stage: ``train``, ``val`` or ``test``; the prefix of the names.
    """
    unchecked: dict[str, Any] = {"validate_args": False}  # to look at values, a GPU would be waited for in each step
    metrics: dict[str, Metric | MetricCollection]
    if multi_label:
        metrics = {
            "accuracy": MultilabelExactMatch(classes, **unchecked),
            "macro_f1": MultilabelF1Score(classes, average="macro", **unchecked),
            "micro_f1": MultilabelF1Score(classes, average="micro", **unchecked),
        }
        if stage != "train":  # it keeps all rows
            metrics["macro_average_precision"] = MacroAveragePrecision()
    else:
        metrics = {
            "accuracy": MulticlassAccuracy(classes, average="micro", **unchecked),
            "macro_f1": MulticlassF1Score(classes, average="macro", **unchecked),
            "accuracy_any": AnyAccuracy(),
        }
    return MetricCollection(metrics, prefix=f"{stage}/")
