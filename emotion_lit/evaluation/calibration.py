"""Whether probabilities mean what they say: reliability, temperature scaling, thresholds, and risk against coverage."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from emotion_lit.evaluation.predictions import Bools, Floats, Outputs
from emotion_lit.model.decision import DEFAULT_THRESHOLD

# Bins of equal width, closed on the right, for the expected calibration error (arXiv 1706.04599).
BINS = 15
TEMPERATURES = (0.05, 20.0)
SMALLEST = 1e-12
# Shares of the rows at which the risk-coverage curve is kept.
COVERAGES = np.linspace(0.05, 1, 20)


def stated_and_true(outputs: Outputs) -> tuple[Floats, Bools]:
    """Probabilities that were stated, and whether what they were stated of is so.

    Args:
        outputs: Of one class a row, the highest probability of each row; of several, all probabilities.
    """
    if outputs.multi_label:
        return outputs.probabilities.ravel(), outputs.truth.ravel()
    return outputs.probabilities.max(axis=1), outputs.right


def reliability(outputs: Outputs) -> list[dict[str, float]]:
    """What was stated and what was so, bin by bin; bins without rows are left out.

    Args:
        outputs: The outputs.

    Returns:
        Per bin ``stated`` (the mean probability), ``true`` (the share that is so) and ``share`` (of all rows).
    """
    stated, true = stated_and_true(outputs)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], stated)
    counts = np.bincount(bins, minlength=BINS)
    sums = np.bincount(bins, weights=stated, minlength=BINS), np.bincount(bins, weights=true, minlength=BINS)
    return [
        {
            "stated": float(sums[0][place] / counts[place]),
            "true": float(sums[1][place] / counts[place]),
            "share": float(counts[place] / len(stated)),
        }
        for place in np.flatnonzero(counts)
    ]


def expected_calibration_error(outputs: Outputs) -> float:
    """By how much the stated probability is off on average, over the bins of `reliability`.

    Args:
        outputs: The outputs.
    """
    return float(sum(one["share"] * abs(one["stated"] - one["true"]) for one in reliability(outputs)))


def brier_score(outputs: Outputs) -> float:
    """The squared error of the probabilities: summed over the classes of a row, or with several classes their mean.

    Args:
        outputs: The outputs.
    """
    errors = (outputs.probabilities - outputs.truth) ** 2
    return float(errors.mean() if outputs.multi_label else errors.sum(axis=1).mean())


def log_loss(outputs: Outputs) -> float:
    """The mean negative logarithm of the probability of what is true (with several classes, of each decision).

    Args:
        outputs: The outputs.
    """
    probabilities = np.clip(outputs.probabilities, SMALLEST, 1 - SMALLEST)
    if outputs.multi_label:
        return float(-np.where(outputs.truth, np.log(probabilities), np.log1p(-probabilities)).mean())
    return float(-np.log(probabilities[np.arange(len(outputs)), outputs.first]).mean())


def tempered(probabilities: Floats, temperature: float, multi_label: bool) -> Floats:
    """Probabilities as if the logits had been divided by a temperature; which class is the most probable stays.

    Args:
        probabilities: ``[rows, classes]``.
        temperature: Above one makes them more cautious.
        multi_label: Whether each class is by itself.
    """
    clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    if multi_label:
        logits = np.log(clipped) - np.log1p(-clipped)
        return np.asarray(1 / (1 + np.exp(-logits / temperature)))
    scaled = np.log(clipped) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def fit_temperature(outputs: Outputs) -> float:
    """The temperature with the smallest log loss (temperature scaling, arXiv 1706.04599).

    Args:
        outputs: Of validation rows, at temperature one.

    Returns:
        The temperature; one where the rows do not tell, as when there is one only, or all scores are equal.
    """

    def loss(logarithm: float) -> float:
        values = tempered(outputs.probabilities, float(np.exp(logarithm)), outputs.multi_label)
        return log_loss(outputs.with_probabilities(values))

    if len(outputs) < 2 or np.ptp(outputs.probabilities) < 1e-9:
        return 1.0
    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def fit_thresholds(outputs: Outputs) -> list[float]:
    """The threshold of each class with the best F1; 0.5 for a class that no row has.

    Args:
        outputs: Of validation rows.
    """
    outputs = outputs.take(~outputs.invalid)
    found = []
    for scores, truth in zip(outputs.probabilities.T, outputs.truth.T, strict=True):
        order = np.argsort(-scores, kind="stable")
        falling = np.append(scores[order], 0.0)
        hits = np.cumsum(truth[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
        last_of_equals = np.append(np.diff(scores[order]) < 0, True)
        best = int(np.argmax(np.where(last_of_equals, f1, -1)))
        # Half-way to the next one: on a row's own probability, rounding would decide about its equals.
        found.append(float(falling[best : best + 2].mean()) if truth.any() else DEFAULT_THRESHOLD)
    return found


def risk_coverage(outputs: Outputs) -> list[dict[str, float]]:
    """Accuracy on the rows that the model is surest of, if the others are left to a person.

    Args:
        outputs: The outputs.

    Returns:
        Per share of rows that are kept ``coverage``, ``accuracy``, and ``confidence``, the least that was kept.
    """
    confidence = outputs.confidence
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(outputs.right[order])
    counts = np.maximum(1, np.round(COVERAGES * len(order)).astype(int))
    return [
        {
            "coverage": float(count / len(order)),
            "accuracy": float(right[count - 1] / count),
            "confidence": float(confidence[order[count - 1]]),
        }
        for count in dict.fromkeys(counts.tolist())
    ]


def describe_calibration(outputs: Outputs, uncalibrated: Outputs, temperature: float) -> dict[str, Any]:
    """What the report says about probabilities.

    Args:
        outputs: The outputs, tempered.
        uncalibrated: The outputs at temperature one.
        temperature: What they were tempered with.
    """
    return {
        "temperature": temperature,
        "thresholds": outputs.thresholds.tolist() if outputs.multi_label else None,
        **{
            name: {"ece": expected_calibration_error(one), "brier": brier_score(one), "log_loss": log_loss(one)}
            for name, one in (("uncalibrated", uncalibrated), ("calibrated", outputs))
        },
        "reliability": reliability(outputs),
        "risk_coverage": risk_coverage(outputs),
    }
