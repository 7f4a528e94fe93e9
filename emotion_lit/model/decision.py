"""From logits to labels: the one place where probabilities are calibrated and classes are decided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Decision:
    """How logits of a trained model become probabilities, and probabilities become labels.

    Args:
        labels: The classes in the order of their ids.
        multi_label: Whether a text may have several classes.
        temperature: The calibration temperature, by which logits are divided.
        thresholds: The decision threshold of each class; multi-label only.
    """

    labels: tuple[str, ...]
    multi_label: bool
    temperature: float
    thresholds: tuple[float, ...]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities: softmax, or a sigmoid for each class where a text may have several.

        Args:
            logits: ``[rows, classes]``.

        Returns:
            ``[rows, classes]``, in single precision, or in double where the logits are.
        """
        # In half precision classes would tie.
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        scaled = logits / self.temperature
        return scaled.sigmoid() if self.multi_label else scaled.softmax(dim=1)

    def predicted(self, probabilities: Tensor) -> Tensor:
        """Which classes are predicted.

        Args:
            probabilities: ``[rows, classes]``.

        Returns:
            ``[rows, classes]``, of booleans.
        """
        return decide(probabilities, self.multi_label, self.thresholds)


def decide(probabilities: Tensor, multi_label: bool, thresholds: Sequence[float]) -> Tensor:
    """Which classes are predicted.

    One class a text: the most probable one, and of equals the first. Several: all whose probability is at least their
    threshold. Probabilities are compared as they are, before anything is rounded; a row with one that is no finite
    number predicts nothing.

    Args:
        probabilities: ``[rows, classes]``.
        multi_label: Whether a text may have several classes.
        thresholds: One for each class; of several classes a text only.

    Returns:
        ``[rows, classes]``, of booleans.
    """
    known = is_known(probabilities)[:, None]
    if not multi_label:
        best = probabilities.nan_to_num().argmax(dim=1)
        return functional.one_hot(best, probabilities.shape[1]).bool() & known
    compared = probabilities if probabilities.dtype == torch.float64 else probabilities.float()
    return (compared >= _smallest_above(thresholds, compared)) & known


def is_known(probabilities: Tensor) -> Tensor:
    """Which rows have probabilities that are all finite numbers; for the others nothing is predicted.

    Args:
        probabilities: ``[rows, classes]``.

    Returns:
        ``[rows]``, of booleans.
    """
    return probabilities.isfinite().all(dim=1)


def ranking(probabilities: Tensor) -> Tensor:
    """The classes by their probability, the most probable first, and of equals the first.

    Args:
        probabilities: ``[rows, classes]``, finite.

    Returns:
        The places of the classes, ``[rows, classes]``.
    """
    return probabilities.argsort(dim=1, descending=True, stable=True)


def _smallest_above(thresholds: Sequence[float], like: Tensor) -> Tensor:
    """The smallest numbers of the probabilities' precision that are at least the thresholds.

    With them single precision decides as double precision would, which a GPU of Apple's does not have.
    """
    exact = torch.tensor(thresholds, dtype=torch.float64)
    rounded = exact.to(like.dtype)
    above = torch.where(rounded.double() < exact, rounded.nextafter(torch.full_like(rounded, math.inf)), rounded)
    return above.to(like.device)
