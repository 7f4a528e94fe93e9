"""Metrics that are logged during training, as torchmetrics; those of the report are in `evaluation.metrics`."""

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from emotion_lit.evaluation.average_precision import average_precision, macro_average


class Accuracy(Metric):
    """Accuracy: the share of rows whose predicted classes are exactly the true ones (multi-label: subset accuracy)."""

    full_state_update = False
    hits: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Adds a batch.

        Args:
            predicted: Whether each class is predicted, ``[batch, classes]``.
            truth: Whether each row has each class, ``[batch, classes]``.
        """
        self.add((predicted == truth).all(dim=1))

    def add(self, hits: Tensor) -> None:
        """Counts rows.

        Args:
            hits: Whether each row is predicted correctly, ``[batch]``.
        """
        self.hits += hits.sum()
        self.rows += len(hits)

    def compute(self) -> Tensor:
        """The accuracy so far."""
        return self.hits / self.rows


class AnyLabelAccuracy(Accuracy):
    """The share of rows whose prediction is one of the row's classes."""

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Adds a batch.

        Args:
            predicted: Whether each class is predicted, ``[batch, classes]``.
            targets: Above zero for the classes of a row, ``[batch, classes]``.
        """
        self.add((predicted & (targets > 0)).any(dim=1))


class F1(Metric):
    """Micro-F1 over all decisions, or macro-F1, the mean over the classes, as in `evaluation.metrics.macro_f1`.

    Args:
        classes: The number of classes.
        multi_label: Whether a row may have several classes. If not, a class that neither occurs nor is predicted is
            left out of the mean.
        average: ``macro`` or ``micro``.
    """

    full_state_update = False
    both: Tensor
    either: Tensor

    def __init__(self, classes: int, multi_label: bool, average: Literal["macro", "micro"]) -> None:
        super().__init__()
        self.multi_label = multi_label
        self.average = average
        self.add_state("both", torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("either", torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Adds a batch.

        Args:
            predicted: Whether each class is predicted, ``[batch, classes]``.
            truth: Whether each row has each class, ``[batch, classes]``.
        """
        self.both += (predicted & truth).sum(dim=0)
        self.either += predicted.sum(dim=0) + truth.sum(dim=0)

    def compute(self) -> Tensor:
        """F1 so far."""
        if self.average == "micro":
            return 2 * self.both.sum() / self.either.sum().clamp(min=1)
        counted = torch.ones_like(self.either) if self.multi_label else self.either > 0
        return (2 * self.both / self.either.clamp(min=1)).sum() / counted.sum().clamp(min=1)


class MacroAveragePrecision(Metric):
    """Macro average precision, over the classes that occur. It depends on the ranking of rows, not on thresholds."""

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
        """Macro average precision so far."""
        return macro_average(average_precision(dim_zero_cat(self.probabilities), dim_zero_cat(self.truth)))


def default_monitor(multi_label: bool) -> str:
    """The metric that selects the best checkpoint.

    Args:
        multi_label: Whether a text may have several classes. Until thresholds are chosen, F1 may then stay at zero
            although the model improves.
    """
    return "val/macro_average_precision" if multi_label else "val/macro_f1"


def metric_collection(classes: int, multi_label: bool, stage: str) -> MetricCollection:
    """The metrics of one stage.

    They take ``predicted``, ``truth``, ``probabilities`` and ``targets``, each ``[batch, classes]``.

    Args:
        classes: The number of classes.
        multi_label: Whether a row may have several classes.
        stage: ``train``, ``val`` or ``test``; the prefix of the names.
    """
    metrics: dict[str, Metric | MetricCollection] = {
        "accuracy": Accuracy(),
        "macro_f1": F1(classes, multi_label, "macro"),
    }
    if not multi_label:
        metrics["accuracy_any"] = AnyLabelAccuracy()
    else:
        metrics["micro_f1"] = F1(classes, multi_label, "micro")
        if stage != "train":  # it stores the probabilities of all rows
            metrics["macro_average_precision"] = MacroAveragePrecision()
    return MetricCollection(metrics, prefix=f"{stage}/", compute_groups=False)
