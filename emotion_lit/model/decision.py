"""From logits to labels: temperature scaling, decision thresholds, and the predicted classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
        """Calibrated probabilities: softmax, or for multi-label models a sigmoid for each class.

        Args:
            logits: ``[rows, classes]``.

        Returns:
            ``[rows, classes]``, in single precision, or in double precision if the logits are.
        """
        # In half precision, classes would often tie.
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

    Single-label: the most probable class, and in a tie the first one. Multi-label: all classes with a probability of at
    least their threshold. Probabilities are compared before they are rounded. A row with a NaN or infinite probability
    has no predicted class.

    Args:
        probabilities: ``[rows, classes]``.
        multi_label: Whether a text may have several classes.
        thresholds: One for each class; used for multi-label only.

    Returns:
        ``[rows, classes]``, of booleans.
    """
    known = is_known(probabilities)[:, None]
    if not multi_label:
        best = probabilities.nan_to_num().argmax(dim=1)
        return is_class(best, probabilities.shape[1]) & known
    compared = probabilities if probabilities.dtype == torch.float64 else probabilities.float()
    return (compared >= _smallest_above(thresholds, compared)) & known


def is_class(ids: Tensor, classes: int) -> Tensor:
    """One-hot class ids as booleans, ``[rows, classes]``; `one_hot` of PyTorch reads the ids, which waits for a GPU.

    Args:
        ids: The class of each row, ``[rows]``.
        classes: The number of classes.
    """
    return ids.unsqueeze(1) == torch.arange(classes, device=ids.device)


def is_known(probabilities: Tensor) -> Tensor:
    """Which rows have only finite probabilities; the other rows get no label.

    Args:
        probabilities: ``[rows, classes]``.

    Returns:
        ``[rows]``, of booleans.
    """
    return probabilities.isfinite().all(dim=1)


def ranking(probabilities: Tensor) -> Tensor:
    """The classes sorted by descending probability; ties keep the order of the classes.

    Args:
        probabilities: ``[rows, classes]``, finite.

    Returns:
        The indices of the classes, ``[rows, classes]``.
    """
    return probabilities.argsort(dim=1, descending=True, stable=True)


def _smallest_above(thresholds: Sequence[float], like: Tensor) -> Tensor:
    """The thresholds rounded up to the dtype of the probabilities.

    Comparisons in single precision then give the results of double precision, which Apple's GPUs do not support.
    """
    exact = torch.tensor(thresholds, dtype=torch.float64)
    rounded = exact.to(like.dtype)
    above = torch.where(rounded.double() < exact, rounded.nextafter(torch.full_like(rounded, math.inf)), rounded)
    return above.to(like.device, non_blocking=True)
