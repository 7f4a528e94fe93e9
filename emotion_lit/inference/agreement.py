"""How far an engine agrees with PyTorch in single precision, and what that shows about rows that were not compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.inference.engines import Engine, TorchEngine
from emotion_lit.model.decision import Decision
from emotion_lit.model.factory import TrainedNetwork

CONFIDENCE = 0.95
# The required agreement, shown with that confidence: of 2,000 rows at most 12 may differ, of 299 none.
SAME_LABELS, MEAN_DIFFERENCE = 0.99, 0.01
# The largest difference of probabilities that another order of summation in single precision explains.
SAME_NUMBERS = 1e-4


@dataclass(frozen=True)
class Agreement:
    """The result of a comparison with PyTorch in single precision.

    Args:
        rows: The number of rows compared.
        differing: The rows with other predicted labels.
        mean_difference: The mean absolute difference of probabilities.
        largest_difference: The largest one.
    """

    rows: int
    differing: int
    mean_difference: float
    largest_difference: float

    @property
    def at_least(self) -> float:
        """Lower bound of the share of all rows that agree, with 95% confidence (Clopper and Pearson, 1934)."""
        if self.differing >= self.rows:
            return 0.0
        from scipy.stats import beta  # takes half a second to import

        return float(beta.ppf(1 - CONFIDENCE, self.rows - self.differing, self.differing + 1))

    @property
    def at_most(self) -> float:
        """Upper bound of that share, with 95% confidence."""
        if not self.differing:
            return 1.0
        from scipy.stats import beta

        return float(beta.ppf(CONFIDENCE, self.rows - self.differing + 1, self.differing))

    @property
    def is_enough(self) -> bool:
        """Whether at least 99% of all labels agree, and probabilities differ by less than 0.01 on average."""
        return self.mean_difference < MEAN_DIFFERENCE and self.at_least >= SAME_LABELS

    @staticmethod
    def required() -> str:
        """The required agreement, for messages."""
        return f"at least {SAME_LABELS:.0%} and a mean difference below {MEAN_DIFFERENCE} are required"

    def __str__(self) -> str:
        return (
            f"{self.differing:,} of {self.rows:,} rows get a different label than with PyTorch in single precision "
            f"(at least {np.floor(1000 * self.at_least) / 10:.1f}% of all rows agree, with {CONFIDENCE:.0%} "
            f"confidence); probabilities differ by {self.mean_difference:.4f} on average"
        )


def compare(reference: Tensor, others: Tensor, decision: Decision) -> Agreement:
    """Compares the probabilities of two engines, and the labels predicted from them.

    Args:
        reference: PyTorch's probabilities, ``[rows, classes]``.
        others: The other engine's, ``[rows, classes]``.
        decision: How probabilities become labels.
    """
    if not len(reference):
        return Agreement(0, 0, 0.0, 0.0)
    differing = (decision.predicted(reference) != decision.predicted(others)).any(dim=1).sum()
    off = (reference - others).abs().nan_to_num(nan=torch.inf)
    off[~reference.isfinite()] = 0  # if PyTorch has no number either
    return Agreement(len(reference), int(differing), float(off.mean()), float(off.max()))


def reference_probabilities(model: TrainedNetwork, batches: Sequence[Batch]) -> Tensor:
    """The probabilities of PyTorch in single precision, with which every engine is compared.

    Args:
        model: The model.
        batches: The texts as tokens.

    Returns:
        ``[rows, classes]``, on the CPU.
    """
    return probabilities_of(TorchEngine(model.network, model.decision, torch.float32), batches)


@torch.inference_mode()
def probabilities_of(engine: Engine, batches: Sequence[Batch]) -> Tensor:
    """The probabilities of an engine.

    Args:
        engine: The engine.
        batches: The texts as tokens.

    Returns:
        ``[rows, classes]``, in single precision, on the CPU.
    """
    return torch.cat([engine(batch).float().cpu() for batch in batches])
