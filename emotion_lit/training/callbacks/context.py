"""What a callback works with: our model, and our data."""

import lightning.pytorch as pl

from emotion_lit.errors import UserError
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier


def model_of(callback: pl.Callback, pl_module: pl.LightningModule) -> EmotionClassifier:
    """The model, for a callback that needs ours.

    Args:
        callback: The callback.
        pl_module: What the Trainer has.

    Raises:
        UserError: It is another one.
    """
    if isinstance(pl_module, EmotionClassifier):
        return pl_module
    raise UserError(
        f"the callback {type(callback).__name__} works with EmotionClassifier, and this is {type(pl_module).__name__}; "
        "leave the callback out"
    )


def data_of(callback: pl.Callback, trainer: pl.Trainer) -> EmotionDataModule:
    """The data, for a callback that needs ours.

    Args:
        callback: The callback.
        trainer: The Trainer.

    Raises:
        UserError: It has loaders, or data of another kind.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if isinstance(data, EmotionDataModule):
        return data
    raise UserError(
        f"the callback {type(callback).__name__} works with EmotionDataModule; give the Trainer one as datamodule, or "
        "leave the callback out"
    )
