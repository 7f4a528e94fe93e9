"""Summarizes the predictions of a model and its baselines: every number of a report about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from emotion_lit.evaluation.bootstrap import macro_f1_gain, macro_f1_interval
from emotion_lit.evaluation.calibration import summarize_calibration
from emotion_lit.evaluation.contamination import NEARLY, SAME
from emotion_lit.evaluation.error_analysis import confused_pairs, confusion_matrix, most_confident_errors
from emotion_lit.evaluation.metrics import Scores, accuracy_and_macro_f1, evaluate_predictions
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MODELS, TFIDF, UNCALIBRATED, PredictionTable

Summary = dict[str, Any]
BASELINE_METRICS = ("accuracy", "macro_f1", "log_loss", "ece")


def summarize(table: PredictionTable, temperature: float, costs: Mapping[str, dict[str, float]]) -> Summary:
    """Computes every metric in the report from the predictions of each row.

    Args:
        table: The rows and the predictions.
        temperature: The calibration temperature.
        costs: By the name of the model: ``seconds`` and ``parameters``.

    Returns:
        ``after`` and, where it was measured, ``before`` (see `evaluate_predictions`), ``baselines`` (see
        `compare_with_baselines`), ``gain_over_tfidf`` (in macro-F1), ``calibration``, ``contamination``, ``confusion``,
        ``confused_pairs`` and ``most_confident_errors``.
    """
    after = table.predictions(AFTER)
    scores = {
        name: evaluate_predictions(table.predictions(name), table.labels, table.sources)
        for name in MODELS
        if name in table.probabilities
    }
    return {
        **{name: scores[name] for name in (BEFORE, AFTER) if name in scores},
        "baselines": compare_with_baselines(table, scores, costs),
        "gain_over_tfidf": _gain_over_tfidf(table),
        "calibration": summarize_calibration(after, table.predictions(UNCALIBRATED), temperature),
        "contamination": summarize_contamination(table, table.overlaps) if table.overlaps is not None else None,
        "confusion": {"labels": list(table.labels), "matrix": confusion_matrix(after).tolist()},
        "confused_pairs": confused_pairs(after, table.labels),
        "most_confident_errors": most_confident_errors(after, table.texts, table.labels),
    }


def compare_with_baselines(
    table: PredictionTable, scores: Mapping[str, Scores], costs: Mapping[str, dict[str, float]]
) -> list[Summary]:
    """The scores of each model, from the simplest to the fine-tuned one, and its gain over the one before.

    Args:
        table: The rows and the predictions.
        scores: The metrics by the name of the model, from the simplest to the fine-tuned one.
        costs: By the name of the model: ``seconds`` and ``parameters``.

    Returns:
        For each model ``name``, ``accuracy``, ``macro_f1``, ``log_loss``, ``ece``, ``macro_f1_interval``, ``gain`` (in
        macro-F1; None for the first) and its costs.
    """
    rows: list[Summary] = []
    previous = None
    for name, own in scores.items():
        predictions = table.predictions(name)
        rows.append(
            {
                "name": name,
                **{key: own[key] for key in BASELINE_METRICS},
                "macro_f1_interval": asdict(macro_f1_interval(predictions)),
                "gain": asdict(macro_f1_gain(predictions, previous)) if previous is not None else None,
                **costs.get(name, {}),
            }
        )
        previous = predictions
    return rows


def _gain_over_tfidf(table: PredictionTable) -> dict[str, float] | None:
    if TFIDF not in table.probabilities:
        return None
    return asdict(macro_f1_gain(table.predictions(AFTER), table.predictions(TFIDF)))


def summarize_contamination(table: PredictionTable, overlaps: Sequence[str]) -> Summary:
    """Counts the test texts that also occur in train, and scores the model with and without them.

    Args:
        table: The rows and the predictions.
        overlaps: Whether each text also occurs in train (see `find_overlaps`).

    Returns:
        ``same`` and ``nearly`` (numbers of texts), and for ``all`` and ``clean`` texts ``rows``, ``accuracy`` and
        ``macro_f1``.
    """
    marks = np.asarray(overlaps)
    after = table.predictions(AFTER)
    parts = {"all": after, "clean": after.take(marks == "")}
    return {
        SAME: int((marks == SAME).sum()),
        NEARLY: int((marks == NEARLY).sum()),
        **{
            name: {"rows": len(part), **(accuracy_and_macro_f1(part) if len(part) else {})}
            for name, part in parts.items()
        },
    }
