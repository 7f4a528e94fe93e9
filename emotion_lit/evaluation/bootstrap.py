"""Confidence intervals of macro-F1 by resampling the test rows (the bootstrap, Efron 1979)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion_lit.evaluation.labeled_predictions import Bools, Floats, LabeledPredictions
from emotion_lit.evaluation.metrics import confusion_counts, macro_f1

SAMPLES = 2000
SEED = 0
LEVEL = 0.95
QUANTILES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class Interval:
    """A score and its 95% confidence interval.

    Attributes:
        value: The score on the rows themselves.
        low: The interval's lower end.
        high: The interval's upper end.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is statistically significant."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Gain(Interval):
    """A difference between two scores.

    Attributes:
        p_value: Two-sided, for the hypothesis that there is no difference; None in reports of earlier versions.
    """

    p_value: float | None = None


def macro_f1_interval(predictions: LabeledPredictions) -> Interval:
    """Macro-F1 and its confidence interval."""
    value, scores = _resampled(predictions, [predictions.predicted], SAMPLES)
    low, high = np.quantile(scores, QUANTILES)
    return Interval(value, float(low), float(high))


def macro_f1_gain(predictions: LabeledPredictions, other: LabeledPredictions, samples: int | None = None) -> Gain:
    """The difference in macro-F1 between two models on the same rows (paired bootstrap).

    Args:
        predictions: The predictions of one model.
        other: Those of the model to compare it with.
        samples: The number of bootstrap samples; by default as many as for an interval.
    """
    samples = samples or SAMPLES
    value, scores = _resampled(predictions, [predictions.predicted, other.predicted], samples)
    fewer = min((scores <= 0).sum(), (scores >= 0).sum())
    low, high = np.quantile(scores, QUANTILES)
    return Gain(value, float(low), float(high), min(1.0, 2 * float(fewer + 1) / (samples + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for multiple comparisons (Holm 1979).

    Args:
        p_values: One for each comparison.

    Returns:
        The adjusted p-values, in the same order.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _resampled(predictions: LabeledPredictions, predicted: list[Bools], samples: int) -> tuple[float, Floats]:
    """The score on the rows themselves, and on each bootstrap sample, ``[samples]``.

    Rows with equal targets and predictions form one cell of a multinomial distribution, so that the cost does not
    depend on the number of rows.
    """
    rows = np.concatenate([predictions.truth, *predicted], axis=1)
    _, cells, counts = np.unique(np.packbits(rows, axis=1), axis=0, return_index=True, return_counts=True)
    cell_truth, *cell_predicted = np.split(rows[cells], 1 + len(predicted), axis=1)
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=samples)
    values, scores = (
        _difference(weights.astype(np.float64), cell_truth, cell_predicted, predictions.multi_label)
        for weights in (counts[None], drawn)
    )
    return float(values[0]), scores


def _difference(weights: Floats, truth: Bools, predicted: list[Bools], multi_label: bool) -> Floats:
    """Macro-F1 of the first model, minus that of the second if there is one, ``[samples]``."""
    scores = [macro_f1(confusion_counts(truth, one, weights), multi_label) for one in predicted]
    return scores[0] if len(scores) == 1 else scores[0] - scores[1]
