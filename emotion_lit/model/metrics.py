"""Scores: what is logged while training, and the evaluation of a split from its probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
    multiclass_stat_scores,
    multilabel_stat_scores,
)

# Bins of equal width for the expected calibration error (arXiv 1706.04599).
CALIBRATION_BINS = 15


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


def metric_collection(classes: int, multi_label: bool, threshold: float, stage: str) -> MetricCollection:
    """The metrics of one stage.

    Args:
        classes: How many classes there are.
        multi_label: Whether a row may have several.
        threshold: From which probability on a class is predicted; multi-label only.
        stage: ``train``, ``val`` or ``test``; the prefix of the names.
    """
    metrics: dict[str, Metric | MetricCollection]
    if multi_label:
        metrics = {
            "accuracy": MultilabelExactMatch(classes, threshold=threshold),
            "macro_f1": MultilabelF1Score(classes, threshold=threshold, average="macro"),
            "micro_f1": MultilabelF1Score(classes, threshold=threshold, average="micro"),
        }
    else:
        metrics = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
            "accuracy_any": AnyAccuracy(),
        }
    return MetricCollection(metrics, prefix=f"{stage}/")


@dataclass
class Outputs:
    """What a model said about the rows of a split.

    Args:
        probabilities: ``[rows, classes]``.
        targets: ``[rows, classes]``.
        first: Each row's first class, ``[rows]``.
    """

    probabilities: Tensor
    targets: Tensor
    first: Tensor


def evaluate_outputs(
    outputs: Outputs, labels: Sequence[str], multi_label: bool, threshold: float, sources: Sequence[str]
) -> dict[str, Any]:
    """The evaluation of a split, as the report keeps it.

    Args:
        outputs: The model's outputs.
        labels: The names of the classes.
        multi_label: Whether a row may have several classes.
        threshold: From which probability on a class is predicted; multi-label only.
        sources: The corpus of each row.

    Returns:
        ``accuracy``, ``macro_f1``, ``loss``, ``ece``, ``per_class`` and ``per_source``; with one class a row also
        ``accuracy_any``, with several also ``micro_f1``. With several classes, ``accuracy`` asks that all are right.
    """
    counts = _counts(outputs, multi_label, threshold)
    scores: dict[str, Any] = _overall(outputs, counts, multi_label, threshold)
    probabilities, targets = outputs.probabilities, outputs.targets
    if multi_label:
        scores["loss"] = float(torch.nn.functional.binary_cross_entropy(probabilities, targets))
        ece = binary_calibration_error(probabilities.flatten(), targets.flatten().int(), n_bins=CALIBRATION_BINS)
    else:
        scores["loss"] = float(-(targets * probabilities.clamp_min(1e-12).log()).sum(dim=1).mean())
        ece = multiclass_calibration_error(
            probabilities, outputs.first, num_classes=len(labels), n_bins=CALIBRATION_BINS
        )
    scores["ece"] = float(ece)
    precision, recall, f1 = _rates(counts)
    scores["per_class"] = {
        label: {
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "support": int(counts[index, 4]),
        }
        for index, label in enumerate(labels)
    }
    scores["per_source"] = {
        source: _source_scores(outputs, sources, source, multi_label, threshold)
        for source in sorted(set(sources) - {""})
    }
    return scores


def _source_scores(
    outputs: Outputs, sources: Sequence[str], source: str, multi_label: bool, threshold: float
) -> dict[str, Any]:
    mask = torch.tensor([name == source for name in sources])
    part = Outputs(outputs.probabilities[mask], outputs.targets[mask], outputs.first[mask])
    overall = _overall(part, _counts(part, multi_label, threshold), multi_label, threshold)
    return {"accuracy": overall["accuracy"], "macro_f1": overall["macro_f1"], "support": int(mask.sum())}


def _counts(outputs: Outputs, multi_label: bool, threshold: float) -> Tensor:
    """True and false positives, true and false negatives, and support, ``[classes, 5]``."""
    probabilities = outputs.probabilities
    if multi_label:
        return multilabel_stat_scores(
            probabilities, (outputs.targets > 0).int(), probabilities.shape[1], threshold=threshold, average="none"
        )
    return multiclass_stat_scores(probabilities, outputs.first, probabilities.shape[1], average="none")


def _rates(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    tp, fp, _, fn, _ = counts.double().unbind(dim=1)
    precision = tp / (tp + fp).clamp_min(1)
    recall = tp / (tp + fn).clamp_min(1)
    return precision, recall, 2 * tp / (2 * tp + fp + fn).clamp_min(1)


def _overall(outputs: Outputs, counts: Tensor, multi_label: bool, threshold: float) -> dict[str, Any]:
    tp, fp, _, fn, _ = counts.double().unbind(dim=1)
    _, _, f1 = _rates(counts)
    present = (tp + fp + fn) > 0  # as scikit-learn and torchmetrics: a class neither there nor predicted does not count
    macro_f1 = float(f1[present].mean()) if present.any() else 0.0
    if multi_label:
        predicted = outputs.probabilities >= threshold
        exact = (predicted == (outputs.targets > 0)).all(dim=1).double().mean()
        micro = 2 * tp.sum() / (2 * tp.sum() + fp.sum() + fn.sum()).clamp_min(1)
        return {"accuracy": float(exact), "macro_f1": macro_f1, "micro_f1": float(micro)}
    predicted = outputs.probabilities.argmax(dim=1)
    any_hit = outputs.targets.gather(1, predicted.unsqueeze(1)) > 0
    return {
        "accuracy": float((predicted == outputs.first).double().mean()),
        "accuracy_any": float(any_hit.double().mean()),
        "macro_f1": macro_f1,
    }
