"""The scores of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from emotion_lit.evaluation.calibration import SMALLEST, brier_score, expected_calibration_error, log_loss
from emotion_lit.evaluation.predictions import Bools, Floats, Outputs
from emotion_lit.training.metrics import average_precision, macro_average

Scores = dict[str, Any]


def evaluate_outputs(outputs: Outputs, labels: Sequence[str], sources: Sequence[str]) -> Scores:
    """The evaluation of a split, as the report keeps it.

    Args:
        outputs: The model's outputs.
        labels: The names of the classes.
        sources: The corpus of each row.

    Returns:
        ``accuracy``, ``macro_f1``, ``macro_f1_classes`` (over how many classes that is), ``loss`` (against all classes
        of a row), ``log_loss`` (against its first, or each of several), ``brier``, ``ece``, ``rows``, ``invalid_rows``,
        ``per_class`` and ``per_source``; with one class a row also ``accuracy_any``, with several also ``micro_f1`` and
        ``macro_average_precision`` (over the classes that a row has). With several classes, ``accuracy`` asks that all
        are right.
    """
    counts = confusion_counts(outputs.truth, outputs.predicted)
    precision, recall, f1 = _rates(counts)
    named = np.asarray(sources)
    return {
        **_overall(outputs),
        "loss": _loss(outputs),
        "log_loss": log_loss(outputs),
        "brier": brier_score(outputs),
        "ece": expected_calibration_error(outputs),
        "rows": len(outputs),
        "macro_f1_classes": int(scored_classes(counts, outputs.multi_label).sum()),
        "invalid_rows": int(outputs.invalid.sum()),
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
            source: {**accuracy_and_macro_f1(outputs.take(named == source)), "support": int((named == source).sum())}
            for source in sorted(set(sources) - {""})
        },
    }


def confusion_counts(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """True positives, false positives and false negatives of each class, ``[..., 3, classes]``.

    Args:
        truth: Which classes a row has, ``[rows, classes]``.
        predicted: Which are predicted, ``[rows, classes]``.
        weights: How often each row counts, ``[..., rows]``; by default once.
    """
    parts = (truth & predicted, ~truth & predicted, truth & ~predicted)
    if weights is None:
        return np.stack([part.sum(axis=0) for part in parts]).astype(np.float64)
    # Most rows have few classes, of however many.
    return np.stack([np.asarray(weights @ csr_array(part.astype(np.float64))) for part in parts], axis=-2)


def macro_f1(counts: Floats, multi_label: bool) -> Floats:
    """The mean F1 of the classes: scikit-learn's ``f1_score(average="macro", zero_division=0)``, as in training.

    With one class a row, it is the mean over the classes that some row has or is predicted to have. With several, it is
    the mean over all classes, and one that no row has and none is predicted to have counts 0.

    Args:
        counts: True positives, false positives and false negatives, ``[..., 3, classes]``.
        multi_label: Whether a row may have several classes.

    Returns:
        ``[...]``; zero where there are no rows.
    """
    tp, fp, fn = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    present = scored_classes(counts, multi_label)
    f1 = np.where(present, 2 * tp / np.maximum(2 * tp + fp + fn, SMALLEST), 0.0)
    return np.asarray(f1.sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def scored_classes(counts: Floats, multi_label: bool) -> Bools:
    """Which classes macro-F1 is over, ``[..., classes]``.

    Args:
        counts: True positives, false positives and false negatives, ``[..., 3, classes]``.
        multi_label: Whether a row may have several classes.
    """
    return np.asarray((counts.sum(axis=-2) > 0) | multi_label)


def accuracy_and_macro_f1(outputs: Outputs) -> Scores:
    """The two scores that are kept of a part of the rows.

    Args:
        outputs: The outputs of those rows, at least one.
    """
    return {
        "accuracy": float(outputs.right.mean()),
        "macro_f1": float(macro_f1(confusion_counts(outputs.truth, outputs.predicted), outputs.multi_label)),
    }


def _overall(outputs: Outputs) -> Scores:
    if outputs.multi_label:
        tp, fp, fn = confusion_counts(outputs.truth, outputs.predicted).sum(axis=1)
        ranked = average_precision(torch.from_numpy(outputs.probabilities), torch.from_numpy(outputs.truth))
        return {
            **accuracy_and_macro_f1(outputs),
            "micro_f1": float(2 * tp / max(2 * tp + fp + fn, 1)),
            "macro_average_precision": float(macro_average(ranked)),
        }
    any_hit = (outputs.predicted & (outputs.targets > 0)).any(axis=1)
    return {**accuracy_and_macro_f1(outputs), "accuracy_any": float(any_hit.mean())}


def _loss(outputs: Outputs) -> float:
    if outputs.multi_label:
        return log_loss(outputs)
    logarithms = np.log(np.maximum(outputs.probabilities, SMALLEST))
    return float(-(outputs.targets * logarithms).sum(axis=1).mean())


def _rates(counts: Floats) -> tuple[Floats, Floats, Floats]:
    tp, fp, fn = counts
    return tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1), 2 * tp / np.maximum(2 * tp + fp + fn, 1)
