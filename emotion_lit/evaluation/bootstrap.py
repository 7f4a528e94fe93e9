"""How far a score may be chance: intervals by drawing the rows again (the bootstrap, Efron 1979)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion_lit.evaluation.metrics import confusion_counts, macro_f1
from emotion_lit.evaluation.predictions import Bools, Floats, Outputs

DRAWS = 2000
SEED = 0
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class Interval:
    """A value and the range in which it lies in 95 of 100 drawings of the rows.

    Args:
        value: On the rows as they are.
        low: The range's lower end.
        high: The range's upper end.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is more than chance."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Gain(Interval):
    """A difference of two scores.

    Args:
        p_value: How often drawings would be as far from no difference, on both sides, if there were none; None in
            reports of earlier versions.
    """

    p_value: float | None = None


def macro_f1_interval(outputs: Outputs) -> Interval:
    """Macro-F1 and its interval.

    Args:
        outputs: The outputs.
    """
    value, drawn = _drawn(outputs, [outputs.predicted], DRAWS)
    low, high = np.quantile(drawn, TAILS)
    return Interval(value, float(low), float(high))


def macro_f1_gain(outputs: Outputs, other: Outputs, draws: int | None = None) -> Gain:
    """By how much macro-F1 is higher than another model's on the same rows, drawn together.

    Args:
        outputs: The outputs.
        other: The other model's.
        draws: How often the rows are drawn, if not as often as for an interval.
    """
    draws = draws or DRAWS
    value, drawn = _drawn(outputs, [outputs.predicted, other.predicted], draws)
    fewer = min((drawn <= 0).sum(), (drawn >= 0).sum())
    low, high = np.quantile(drawn, TAILS)
    return Gain(value, float(low), float(high), min(1.0, 2 * float(fewer + 1) / (draws + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several comparisons, such that one below 5% is found by chance in 5% of all such sets (Holm 1979).

    Args:
        p_values: Those of single comparisons.

    Returns:
        The adjusted ones, in the same order.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _drawn(outputs: Outputs, predictions: list[Bools], draws: int) -> tuple[float, Floats]:
    """The value on the rows as they are, and on drawn ones.

    Rows that are alike in truth and predictions are drawn together, which costs the same for any number of rows.
    """
    rows = np.concatenate([outputs.truth, *predictions], axis=1)
    _, cells, counts = np.unique(np.packbits(rows, axis=1), axis=0, return_index=True, return_counts=True)
    cell_truth, *cell_predictions = np.split(rows[cells], 1 + len(predictions), axis=1)
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=draws)
    values, scores = (
        _difference(weights.astype(np.float64), cell_truth, cell_predictions, outputs.multi_label)
        for weights in (counts[None], drawn)
    )
    return float(values[0]), scores


def _difference(weights: Floats, truth: Bools, predictions: list[Bools], multi_label: bool) -> Floats:
    """Macro-F1 of the first prediction less that of the second, if there is one, ``[draws]``."""
    scores = [macro_f1(confusion_counts(truth, predicted, weights), multi_label) for predicted in predictions]
    return scores[0] if len(scores) == 1 else scores[0] - scores[1]
