"""Where a model fails: its most confident mistakes, and the classes that it takes for one another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotion_lit.evaluation.outputs import Ints, Outputs, label_names

SHOWN = 20
PAIRS = 10


def confident_mistakes(outputs: Outputs, texts: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The mistakes that the model was surest of.

    Args:
        outputs: The outputs.
        texts: The texts.
        labels: The names of the classes.

    Returns:
        Per mistake ``row``, ``text``, ``truth``, ``prediction`` and ``confidence``, the surest first.
    """
    confidence, truth, predicted = outputs.confidence, outputs.truth, outputs.predicted
    wrong = np.flatnonzero(~outputs.right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    return [
        {
            "row": int(row),
            "text": texts[row],
            "truth": label_names(truth[row], labels),
            "prediction": label_names(predicted[row], labels),
            "confidence": float(confidence[row]),
        }
        for row in surest
    ]


def confusion(outputs: Outputs) -> Ints:
    """How often each class was taken for each, ``[true, predicted]``.

    Args:
        outputs: The outputs. Where a row may have several classes, a class that was missed is counted under each class
            that was predicted without being there.
    """
    if not outputs.multi_label:
        classes = outputs.probabilities.shape[1]
        codes = outputs.first * classes + outputs.best
        return np.bincount(codes, minlength=classes**2).reshape(classes, classes)
    truth, predicted = outputs.truth, outputs.predicted
    missed, added = (truth & ~predicted).astype(np.int64), (predicted & ~truth).astype(np.int64)
    matrix: Ints = missed.T @ added
    np.fill_diagonal(matrix, (truth & predicted).sum(axis=0))
    return matrix


def confused_pairs(matrix: Ints, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that are most often taken for another.

    Args:
        matrix: What `confusion` gave.
        labels: The names of the classes.

    Returns:
        Per pair ``truth``, ``prediction``, ``count``, and its ``share`` of the rows of the true class.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(code), len(labels)) for code in order]
    return [
        {
            "truth": labels[true],
            "prediction": labels[guess],
            "count": int(wrong[true, guess]),
            "share": float(wrong[true, guess] / matrix[true].sum()),
        }
        for true, guess in pairs
        if wrong[true, guess]
    ]
