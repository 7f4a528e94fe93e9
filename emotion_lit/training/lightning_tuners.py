"""Lightning callbacks that tune the model or its settings, and which of them work with this package."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BaseFinetuning, BatchSizeFinder, LearningRateFinder

from emotion_lit.errors import UserError
from emotion_lit.model.tuning import Tuning


def check_tuners(trainer: pl.Trainer, tuning: Tuning) -> None:
    """Checks that these callbacks work with the model and its settings.

    Args:
        trainer: The Trainer, before training.
        tuning: The tuning mode.

    Raises:
        UserError: One of them does not.
    """
    data = getattr(trainer, "datamodule", None)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        name = type(callback).__name__
        if isinstance(callback, BaseFinetuning) and type(callback).__module__.startswith("lightning."):
            raise UserError(
                f"{name} freezes a module called backbone; use model.tuning and model.trainable_layers instead"
            )
        if isinstance(callback, LearningRateFinder) and tuning == "head":
            raise UserError(f"{name} changes model.learning_rate, which has no effect with tuning head; leave it out")
        if isinstance(callback, BatchSizeFinder) and data is not None and getattr(data, "batch_size", 0) is None:
            raise UserError(f"{name} changes data.batch_size; set an initial one, such as --data.batch_size 8")
