"""Metrics of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emotion_lit.evaluation.average_precision import average_precision, macro_average
from emotion_lit.evaluation.calibration import SMALLEST, brier_score, expected_calibration_error, log_loss
from emotion_lit.evaluation.labeled_predictions import Bools, Floats, LabeledPredictions

Scores = dict[str, Any]


def evaluate_predictions(predictions: LabeledPredictions, labels: Sequence[str], sources: Sequence[str]) -> Scores:
    """All metrics of a split, as the report has them.

    Args:
        predictions: The predictions.
        labels: The names of the classes.
        sources: The source of each row.

    Returns:
        ``accuracy`` (multi-label: subset accuracy), ``macro_f1``, ``macro_f1_classes`` (the number of classes that it
        averages), ``loss`` (against all classes of a row), ``log_loss`` (against its first class; multi-label: against
        each), ``brier``, ``ece``, ``rows``, ``invalid_rows``, ``per_class`` and ``per_source``. Single-label also
        ``accuracy_any``; multi-label also ``micro_f1`` and ``macro_average_precision`` (over the classes that some row
        has).
    """
    counts = confusion_counts(predictions.truth, predictions.predicted)
    precision, recall, f1 = _rates(counts)
    named = np.asarray(sources)
    return {
        **_overall(predictions),
        "loss": _loss(predictions),
        "log_loss": log_loss(predictions),
        "brier": brier_score(predictions),
        "ece": expected_calibration_error(predictions),
        "rows": len(predictions),
        "macro_f1_classes": int(scored_classes(counts, predictions.multi_label).sum()),
        "invalid_rows": int(predictions.invalid.sum()),
        "per_class": {
            label: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(counts[0, index] + counts[2, index]),
            }
            for index, label in enumerate(labels)
        },
        "per_source": {
            source: {
                **accuracy_and_macro_f1(predictions.take(named == source)),
                "support": int((named == source).sum()),
            }
            for source in sorted(set(sources) - {""})
        },
    }


def confusion_counts(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """True positives, false positives and false negatives of each class, ``[..., 3, classes]``.

    Args:
        truth: The true classes of each row, ``[rows, classes]``.
        predicted: The predicted classes, ``[rows, classes]``.
        weights: How often each row counts, ``[..., rows]``; by default once.
    """
    from scipy.sparse import csr_array

    parts = (truth & predicted, ~truth & predicted, truth & ~predicted)
    if weights is None:
        return np.stack([part.sum(axis=0) for part in parts]).astype(np.float64)
    # Sparse, because most rows have few classes.
    return np.stack([np.asarray(weights @ csr_array(part.astype(np.float64))) for part in parts], axis=-2)


def macro_f1(counts: Floats, multi_label: bool) -> Floats:
    """The mean F1 of the classes: scikit-learn's ``f1_score(average="macro", zero_division=0)``, as in training.

    Single-label: the mean over the classes that some row has or is predicted to have. Multi-label: the mean over all
    classes, in which a class that no row has and none is predicted to have counts 0.

    Args:
        counts: True positives, false positives and false negatives, ``[..., 3, classes]``.
        multi_label: Whether a row may have several classes.

    Returns:
        ``[...]``; zero if there are no rows.
    """
    tp, fp, fn = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    present = scored_classes(counts, multi_label)
    f1 = np.where(present, 2 * tp / np.maximum(2 * tp + fp + fn, SMALLEST), 0.0)
    return np.asarray(f1.sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def scored_classes(counts: Floats, multi_label: bool) -> Bools:
    """The classes that macro-F1 averages, ``[..., classes]``.

    Args:
        counts: True positives, false positives and false negatives, ``[..., 3, classes]``.
        multi_label: Whether a row may have several classes.
    """
    return np.asarray((counts.sum(axis=-2) > 0) | multi_label)


def accuracy_and_macro_f1(predictions: LabeledPredictions) -> Scores:
    """``accuracy`` and ``macro_f1`` of at least one row."""
    counts = confusion_counts(predictions.truth, predictions.predicted)
    return {
        "accuracy": float(predictions.correct.mean()),
        "macro_f1": float(macro_f1(counts, predictions.multi_label)),
    }


def _overall(predictions: LabeledPredictions) -> Scores:
    if predictions.multi_label:
        tp, fp, fn = confusion_counts(predictions.truth, predictions.predicted).sum(axis=1)
        ranked = average_precision(torch.from_numpy(predictions.probabilities), torch.from_numpy(predictions.truth))
        return {
            **accuracy_and_macro_f1(predictions),
            "micro_f1": float(2 * tp / max(2 * tp + fp + fn, 1)),
            "macro_average_precision": float(macro_average(ranked)),
        }
    any_hit = (predictions.predicted & (predictions.targets > 0)).any(axis=1)
    return {**accuracy_and_macro_f1(predictions), "accuracy_any": float(any_hit.mean())}


def _loss(predictions: LabeledPredictions) -> float:
    if predictions.multi_label:
        return log_loss(predictions)
    logarithms = np.log(np.maximum(predictions.probabilities, SMALLEST))
    return float(-(predictions.targets * logarithms).sum(axis=1).mean())


def _rates(counts: Floats) -> tuple[Floats, Floats, Floats]:
    tp, fp, fn = counts
    return tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1), 2 * tp / np.maximum(2 * tp + fp + fn, 1)
