"""Error analysis: the confusion matrix, the most confused classes, and the most confident errors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotion_lit.evaluation.labeled_predictions import Bools, Floats, Ints, LabeledPredictions, label_names

ERRORS = 20
PAIRS = 10


def most_confident_errors(
    predictions: LabeledPredictions, texts: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """The wrong predictions with the highest confidence.

    Args:
        predictions: The predictions.
        texts: The text of each row.
        labels: The names of the classes.

    Returns:
        For each error ``row``, ``text``, ``truth``, ``prediction`` and ``confidence``, the most confident first.
    """
    confidence, truth, predicted = predictions.confidence, predictions.truth, predictions.predicted
    wrong = np.flatnonzero(~predictions.correct)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:ERRORS]
    return [
        {
            "row": int(row),
            "text": texts[row],
            "truth": label_names(truth[row], labels),
            "prediction": label_names(predicted[row], labels),
            "confidence": float(confidence[row]),
        }
        for row in chosen
    ]


def confusion_matrix(predictions: LabeledPredictions) -> Ints:
    """How often each class was predicted as each class, ``[true, predicted]``.

    Multi-label: a class that was missed counts under each class that was predicted wrongly for the same row.
    """
    truth, predicted = predictions.truth, predictions.predicted
    if not predictions.multi_label:
        return _count(truth, predicted)
    matrix = _count(truth & ~predicted, predicted & ~truth)
    np.fill_diagonal(matrix, (truth & predicted).sum(axis=0))
    return matrix


def _count(rows: Bools, columns: Bools) -> Ints:
    """How many texts have each pair of classes; sparse, because most texts have few of them."""
    from scipy.sparse import csr_array

    return np.asarray((csr_array(rows.T.astype(np.int64)) @ csr_array(columns.astype(np.int64))).toarray())


def confusion_shares(predictions: LabeledPredictions) -> Floats:
    """`confusion_matrix` divided by the number of rows of each true class, ``[true, predicted]``."""
    return np.asarray(confusion_matrix(predictions) / np.maximum(predictions.truth.sum(axis=0), 1)[:, None])


def confused_pairs(predictions: LabeledPredictions, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most often.

    Args:
        predictions: The predictions.
        labels: The names of the classes.

    Returns:
        For each pair ``truth``, ``prediction``, ``count``, and ``share`` (of the rows of the true class).
    """
    wrong, shares = confusion_matrix(predictions), confusion_shares(predictions)
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
