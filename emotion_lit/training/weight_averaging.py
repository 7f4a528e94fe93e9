"""Weights that Lightning averages while training: those that are validated are those that a checkpoint is made of."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import lightning.pytorch.callbacks as lightning_callbacks
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.keys import AVERAGING, CURRENT

# `EMAWeightAveraging` is one too; earlier releases of Lightning have none.
WEIGHT_AVERAGING: Any = getattr(lightning_callbacks, "WeightAveraging", ())


def check_averaging(trainer: pl.Trainer) -> None:
    """Refuses averages that no validation would ever see.

    Args:
        trainer: The Trainer, before training.

    Raises:
        UserError: It has a callback that averages at the end of training.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
        raise UserError(
            "StochasticWeightAveraging puts its average into the model after the last validation, so no score would be "
            "of it and no checkpoint would hold it; use WeightAveraging or EMAWeightAveraging in trainer.callbacks"
        )


def validated_weights(trainer: pl.Trainer, model: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Puts the averages, with which validations run, in the place of the weights in a checkpoint.

    Lightning does so too, but not in a checkpoint of weights alone.

    Args:
        trainer: The Trainer.
        model: The model.
        checkpoint: What is going to be saved.
    """
    callback = _averaging(trainer)
    running = trainer.state.fn == TrainerFn.FITTING and trainer.state.status == TrainerStatus.RUNNING
    if callback is None or not running or AVERAGING in checkpoint:
        return
    callback.on_save_checkpoint(trainer, model, checkpoint)
    for key in (CURRENT, AVERAGING):
        checkpoint.pop(key, None)


def check_goes_on(trainer: pl.Trainer, checkpoint: dict[str, Any], config: Path | None) -> None:
    """Checks that a run whose weights were averaged goes on with averaging; its averages are not what trained.

    Args:
        trainer: The Trainer that is going to go on.
        checkpoint: From which.
        config: The run's configuration, if it is there.

    Raises:
        UserError: It would go on without.
    """
    if CURRENT in checkpoint and _averaging(trainer) is None:
        again = f"--config {config}" if config else "the same trainer.callbacks"
        raise UserError(f"the run has averaged its weights, and cannot go on without that; add {again}")


def averages(trainer: pl.Trainer) -> bool:
    """Whether Lightning averages the weights of a training.

    Args:
        trainer: The Trainer.
    """
    return _averaging(trainer) is not None


def _averaging(trainer: pl.Trainer) -> Any:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, WEIGHT_AVERAGING)), None)
