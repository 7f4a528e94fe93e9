"""Where a model fails: its most confident mistakes, and the classes that it takes for one another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from emotion_lit.evaluation.predictions import Bools, Floats, Ints, Outputs, label_names

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
    truth, predicted = outputs.truth, outputs.predicted
    if not outputs.multi_label:
        return _count(truth, predicted)
    matrix = _count(truth & ~predicted, predicted & ~truth)
    np.fill_diagonal(matrix, (truth & predicted).sum(axis=0))
    return matrix


def _count(rows: Bools, columns: Bools) -> Ints:
    """How many texts have each pair of classes; most texts have few, of however many."""
    return np.asarray((csr_array(rows.T.astype(np.int64)) @ csr_array(columns.astype(np.int64))).toarray())


def confusion_shares(outputs: Outputs) -> Floats:
    """`confusion` as shares of the rows that have each class, ``[true, predicted]``.

    Args:
        outputs: The outputs.
    """
    return np.asarray(confusion(outputs) / np.maximum(outputs.truth.sum(axis=0), 1)[:, None])


def confused_pairs(outputs: Outputs, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that are most often taken for another.

    Args:
        outputs: The outputs.
        labels: The names of the classes.

    Returns:
        Per pair ``truth``, ``prediction``, ``count``, and its ``share`` of the rows that have the true class.
    """
    wrong, shares = confusion(outputs), confusion_shares(outputs)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(code), len(labels)) for code in order]
    return [
        {
            "truth": labels[true],
            "prediction": labels[guess],
            "count": int(wrong[true, guess]),
            "share": float(shares[true, guess]),
        }
        for true, guess in pairs
        if wrong[true, guess]
    ]
