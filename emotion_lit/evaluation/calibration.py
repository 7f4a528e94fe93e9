"""Calibration: reliability, temperature scaling, decision thresholds, and risk against coverage."""

from dataclasses import replace
from typing import Any

import numpy as np

from emotion_lit.evaluation.labeled_predictions import Bools, Floats, LabeledPredictions
from emotion_lit.model.decision import DEFAULT_THRESHOLD

# Bins of equal width, closed on the right, for the expected calibration error (arXiv 1706.04599).
BINS = 15
TEMPERATURES = (0.05, 20.0)
SMALLEST = 1e-12
# Shares of the rows at which the risk-coverage curve is computed.
COVERAGES = np.linspace(0.05, 1, 20)


def confidence_and_correctness(predictions: LabeledPredictions) -> tuple[Floats, Bools]:
    """Predicted probabilities, and whether each prediction was correct.

    Returns:
        Single-label: the highest probability of each row, ``[rows]``. Multi-label: the probability of each class of
        each row, and whether the row has the class, ``[rows * classes]``.
    """
    if predictions.multi_label:
        return predictions.probabilities.ravel(), predictions.truth.ravel()
    return predictions.probabilities.max(axis=1), predictions.correct


def reliability(predictions: LabeledPredictions) -> list[dict[str, float]]:
    """The bins of a reliability diagram, without those that are empty.

    Returns:
        For each bin ``confidence`` (the mean predicted probability), ``accuracy`` (the share of correct predictions)
        and ``share`` (of all rows).
    """
    confidence, correct = confidence_and_correctness(predictions)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    counts = np.bincount(bins, minlength=BINS)
    confidence_sums = np.bincount(bins, weights=confidence, minlength=BINS)
    correct_sums = np.bincount(bins, weights=correct, minlength=BINS)
    return [
        {
            "confidence": float(confidence_sums[index] / counts[index]),
            "accuracy": float(correct_sums[index] / counts[index]),
            "share": float(counts[index] / len(confidence)),
        }
        for index in np.flatnonzero(counts)
    ]


def expected_calibration_error(predictions: LabeledPredictions) -> float:
    """ECE: the mean difference between confidence and accuracy, over the bins of `reliability`."""
    return float(sum(one["share"] * abs(one["confidence"] - one["accuracy"]) for one in reliability(predictions)))


def brier_score(predictions: LabeledPredictions) -> float:
    """The squared error of the probabilities: summed over a row's classes; for multi-label data, their mean."""
    errors = (predictions.probabilities - predictions.truth) ** 2
    return float(errors.mean() if predictions.multi_label else errors.sum(axis=1).mean())


def log_loss(predictions: LabeledPredictions) -> float:
    """The cross-entropy against each row's first class; for multi-label data, the mean binary cross-entropy."""
    probabilities = np.clip(predictions.probabilities, SMALLEST, 1 - SMALLEST)
    if predictions.multi_label:
        return float(-np.where(predictions.truth, np.log(probabilities), np.log1p(-probabilities)).mean())
    return float(-np.log(probabilities[np.arange(len(predictions)), predictions.first]).mean())


def scale_by_temperature(probabilities: Floats, temperature: float, multi_label: bool) -> Floats:
    """Divides the logits behind probabilities by a temperature; the most probable class stays the same.

    Args:
        probabilities: ``[rows, classes]``.
        temperature: Above 1 it lowers the confidence.
        multi_label: Whether each class has a probability of its own.
    """
    clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    if multi_label:
        logits = np.log(clipped) - np.log1p(-clipped)
        return np.asarray(1 / (1 + np.exp(-logits / temperature)))
    scaled = np.log(clipped) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def fit_temperature(predictions: LabeledPredictions) -> float:
    """The temperature with the smallest log loss (temperature scaling, arXiv 1706.04599).

    Args:
        predictions: Those of the validation rows, at temperature 1.

    Returns:
        The temperature; 1 if it cannot be fitted, because there is only one row or all probabilities are equal.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        values = scale_by_temperature(predictions.probabilities, float(np.exp(logarithm)), predictions.multi_label)
        return log_loss(predictions.with_probabilities(values))

    if len(predictions) < 2 or np.ptp(predictions.probabilities) < 1e-9:
        return 1.0
    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def fit_thresholds(predictions: LabeledPredictions) -> list[float]:
    """The decision threshold of each class with the best F1; 0.5 for a class that no row has.

    Args:
        predictions: Those of the validation rows.
    """
    predictions = predictions.take(~predictions.invalid)
    thresholds = []
    for scores, truth in zip(predictions.probabilities.T, predictions.truth.T, strict=True):
        order = np.argsort(-scores, kind="stable")
        falling = np.append(scores[order], 0.0)
        hits = np.cumsum(truth[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
        last_of_equals = np.append(np.diff(scores[order]) < 0, True)
        best = int(np.argmax(np.where(last_of_equals, f1, -1)))
        # Halfway to the next score: at a row's own probability, rounding would decide about rows with equal scores.
        thresholds.append(float(falling[best : best + 2].mean()) if truth.any() else DEFAULT_THRESHOLD)
    return thresholds


def calibrate(
    predictions: LabeledPredictions, temperature: float | None, thresholds: float | list[float] | None
) -> tuple[LabeledPredictions, float, float | list[float] | None]:
    """Fits the temperature and, for multi-label data, the decision thresholds, unless they are given.

    Args:
        predictions: Those of the validation rows: at temperature 1 if none is given, else at that temperature.
        temperature: The calibration temperature, if it is set.
        thresholds: The decision thresholds, if they are set.

    Returns:
        The calibrated predictions, the temperature, and the thresholds.
    """
    if temperature is None:
        temperature = fit_temperature(predictions)
        values = scale_by_temperature(predictions.probabilities_or_nan, temperature, predictions.multi_label)
        predictions = predictions.with_probabilities(values)
    if predictions.multi_label and thresholds is None:
        thresholds = fit_thresholds(predictions)
        predictions = replace(predictions, thresholds=np.array(thresholds))
    return predictions, temperature, thresholds


def risk_coverage(predictions: LabeledPredictions) -> list[dict[str, float]]:
    """The risk-coverage curve: the accuracy on the most confident rows, for growing shares of the rows.

    Returns:
        For each share ``coverage``, ``accuracy``, and ``confidence``, the lowest among these rows.
    """
    confidence = predictions.confidence
    order = np.argsort(-confidence, kind="stable")
    correct = np.cumsum(predictions.correct[order])
    counts = np.maximum(1, np.round(COVERAGES * len(order)).astype(int))
    return [
        {
            "coverage": float(count / len(order)),
            "accuracy": float(correct[count - 1] / count),
            "confidence": float(confidence[order[count - 1]]),
        }
        for count in dict.fromkeys(counts.tolist())
    ]


def summarize_calibration(
    predictions: LabeledPredictions, uncalibrated: LabeledPredictions, temperature: float
) -> dict[str, Any]:
    """The part of the report about calibration.

    Args:
        predictions: The calibrated predictions.
        uncalibrated: The same at temperature 1.
        temperature: The calibration temperature.
    """
    return {
        "temperature": temperature,
        "thresholds": predictions.thresholds.tolist() if predictions.multi_label else None,
        **{
            name: {"ece": expected_calibration_error(one), "brier": brier_score(one), "log_loss": log_loss(one)}
            for name, one in (("uncalibrated", uncalibrated), ("calibrated", predictions))
        },
        "reliability": reliability(predictions),
        "risk_coverage": risk_coverage(predictions),
    }
