"""Training losses: cross-entropy, or binary cross-entropy for multi-label data, with class weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from emotion_lit.errors import UserError
from emotion_lit.model.settings import ModelSettings
from emotion_lit.training.datamodule import EmotionDataModule

# With larger weights, a few rows of a rare class would dominate a step.
LARGEST_POS_WEIGHT = 100.0


@dataclass
class ClassificationLoss:
    """Cross-entropy with soft targets; binary cross-entropy for multi-label data.

    Attributes:
        multi_label: Whether a text may have several classes.
        class_weights: ``[classes]``; for multi-label data they are `pos_weight`. None weights all classes equally.
        label_smoothing: Share of the target that is spread evenly over all classes; single-label only.
    """

    multi_label: bool
    class_weights: Tensor | None = None
    label_smoothing: float = 0.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar.

        Args:
            logits: ``[batch, classes]``.
            targets: Probabilities of the classes, or zeros and ones for multi-label data, ``[batch, classes]``.
        """
        if self.class_weights is not None and self.class_weights.device != logits.device:
            self.class_weights = self.class_weights.to(logits.device)
        if self.multi_label:
            return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.class_weights)
        return functional.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing
        )


def make_loss(settings: ModelSettings, class_weights: Sequence[float] | None = None) -> ClassificationLoss:
    """The loss that a model trains with.

    Args:
        settings: The model's settings.
        class_weights: Weights in the order of the labels; None weights all classes equally.
    """
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
    return ClassificationLoss(settings.multi_label, weights, settings.label_smoothing)


def plain_loss(settings: ModelSettings) -> ClassificationLoss:
    """The loss that validation and test report: without class weights and label smoothing, so that runs compare.

    Args:
        settings: The model's settings.
    """
    return ClassificationLoss(settings.multi_label)


def class_weights_of(settings: ModelSettings, data: object) -> list[float] | None:
    """The class weights of the training loss; None weights all classes equally.

    Args:
        settings: The model's settings.
        data: The Trainer's data module.

    Raises:
        UserError: Weights should be balanced, and the data module does not count the classes.
    """
    if settings.class_weights != "balanced":
        return settings.class_weights if isinstance(settings.class_weights, list) else None
    if not isinstance(data, EmotionDataModule):
        raise UserError(
            "model.class_weights balanced counts the classes in EmotionDataModule; with loaders of your own, "
            "give a list of weights in the order of the labels"
        )
    counts = data.corpus.class_counts("train")
    return balanced_pos_weights(counts, len(data.rows("train"))) if settings.multi_label else balanced_weights(counts)


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights inversely proportional to the class frequencies, 1 on average over the rows.

    Args:
        counts: Rows per class; a class without rows gets the weight 1.
    """
    present = sum(count > 0 for count in counts)
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]


def balanced_pos_weights(counts: Sequence[int], rows: int) -> list[float]:
    """Positive weights that balance the rows with a class and the rows without it (`pos_weight`).

    Args:
        counts: Rows that have each class.
        rows: All rows.

    Returns:
        Negatives over positives, clipped to 1 / `LARGEST_POS_WEIGHT` and `LARGEST_POS_WEIGHT`; 1 for a class that all
        rows have, or none.
    """
    return [
        min(max((rows - count) / count, 1 / LARGEST_POS_WEIGHT), LARGEST_POS_WEIGHT) if 0 < count < rows else 1.0
        for count in counts
    ]
