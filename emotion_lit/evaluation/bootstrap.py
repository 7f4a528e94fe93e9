"""How far a score may be chance: intervals by drawing the rows again (the bootstrap, Efron 1979)."""

from dataclasses import dataclass

import numpy as np

from emotion_lit.evaluation.outputs import Bools, Floats, Outputs
from emotion_lit.evaluation.scores import confusion_counts, macro_f1

DRAWS = 2000
SEED = 0
LEVEL = 0.95


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


def macro_f1_interval(outputs: Outputs) -> Interval:
    """Macro-F1 and its interval.

    Args:
        outputs: The outputs.
    """
    return _interval(outputs, [outputs.predicted])


def macro_f1_gain(outputs: Outputs, other: Outputs) -> Interval:
    """By how much macro-F1 is higher than another model's on the same rows, drawn together.

    Args:
        outputs: The outputs.
        other: The other model's.
    """
    return _interval(outputs, [outputs.predicted, other.predicted])


def _interval(outputs: Outputs, predictions: list[Bools]) -> Interval:
    """Rows that are alike in truth and predictions are drawn together, which costs the same for any number of rows."""
    rows = np.concatenate([outputs.truth, *predictions], axis=1)
    _, cells, counts = np.unique(np.packbits(rows, axis=1), axis=0, return_index=True, return_counts=True)
    cell_truth, *cell_predictions = np.split(rows[cells], 1 + len(predictions), axis=1)
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)
    values, draws = (
        _difference(weights.astype(np.float64), cell_truth, cell_predictions, outputs.multi_label)
        for weights in (counts[None], drawn)
    )
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values[0]), float(low), float(high))


def _difference(weights: Floats, truth: Bools, predictions: list[Bools], multi_label: bool) -> Floats:
    """Macro-F1 of the first prediction less that of the second, if there is one, ``[draws]``."""
    scores = [macro_f1(confusion_counts(truth, predicted, weights), multi_label) for predicted in predictions]
    return scores[0] if len(scores) == 1 else scores[0] - scores[1]
