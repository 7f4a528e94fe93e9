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
    else:
        metrics = {
            "accuracy": MulticlassAccuracy(classes, average="micro", **unchecked),
            "macro_f1": MulticlassF1Score(classes, average="macro", **unchecked),
            "accuracy_any": AnyAccuracy(),
        }
    return MetricCollection(metrics, prefix=f"{stage}/")
