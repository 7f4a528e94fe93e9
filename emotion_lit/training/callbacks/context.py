"""The model, the data and the other callbacks that a callback works with, checked for their types."""

from typing import TypeVar

import lightning.pytorch as pl

from emotion_lit.errors import UserError
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier

Kind = TypeVar("Kind", bound=pl.Callback)


def model_of(callback: pl.Callback, pl_module: pl.LightningModule) -> EmotionClassifier:
    """The Trainer's module as an EmotionClassifier.

    Raises:
        UserError: It is another module.
    """
    if isinstance(pl_module, EmotionClassifier):
        return pl_module
    raise UserError(
        f"the callback {type(callback).__name__} works with EmotionClassifier, and this is {type(pl_module).__name__}; "
        "leave the callback out"
    )


def data_of(callback: pl.Callback, trainer: pl.Trainer) -> EmotionDataModule:
    """The Trainer's data as an EmotionDataModule.

    Raises:
        UserError: It has data loaders, or another DataModule.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if isinstance(data, EmotionDataModule):
        return data
    raise UserError(
        f"the callback {type(callback).__name__} works with EmotionDataModule; give the Trainer one as datamodule, or "
        "leave the callback out"
    )


def callback_of(callback: pl.Callback, trainer: pl.Trainer, kind: type[Kind]) -> Kind:
    """The Trainer's callback of a class, for another callback that needs it.

    Raises:
        UserError: The Trainer has none.
    """
    for other in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(other, kind):
            return other
    raise UserError(f"the callback {type(callback).__name__} needs {kind.__name__}; add it to the Trainer's callbacks")


def is_reported(trainer: pl.Trainer) -> bool:
    """Whether the run scores the test split and writes a report (``report.enabled``)."""
    from emotion_lit.training.callbacks.run_report import RunReport  # which imports callbacks that ask this

    reports = [one for one in trainer.callbacks if isinstance(one, RunReport)]  # type: ignore[attr-defined]
    return all(one.enabled for one in reports)
