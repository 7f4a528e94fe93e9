"""Weight averaging by Lightning's callbacks: checkpoints contain the averaged weights, which are also validated."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import lightning.pytorch.callbacks as lightning_callbacks
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.keys import AVERAGING, CURRENT
from emotion_lit.training.fsdp import is_sharded

# `EMAWeightAveraging` is a subclass. Earlier releases of Lightning have neither.
WEIGHT_AVERAGING: Any = getattr(lightning_callbacks, "WeightAveraging", ())


def check_averaging(trainer: pl.Trainer) -> None:
    """Rejects weight averaging whose result would never be validated, or that cannot copy the model.

    Args:
        trainer: The Trainer, before training.

    Raises:
        UserError: The Trainer has the callback `StochasticWeightAveraging`, or shards the model.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
        raise UserError(
            "StochasticWeightAveraging sets the averaged weights after the last validation, so they would be neither "
            "validated nor saved in a checkpoint; use WeightAveraging or EMAWeightAveraging in trainer.callbacks"
        )
    if averages(trainer) and is_sharded(trainer.strategy):
        raise UserError("weight averaging cannot copy a model that trainer.strategy fsdp shards; leave out one of them")


def validated_weights(trainer: pl.Trainer, model: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Replaces the weights in a checkpoint by the averaged weights, which are those that are validated.

    Lightning does this too, but not for checkpoints with ``weights_only``.

    Args:
        trainer: The Trainer.
        model: The model.
        checkpoint: The checkpoint that is going to be saved.
    """
    callback = _averaging(trainer)
    running = trainer.state.fn == TrainerFn.FITTING and trainer.state.status == TrainerStatus.RUNNING
    if callback is None or not running or AVERAGING in checkpoint:
        return
    callback.on_save_checkpoint(trainer, model, checkpoint)
    for key in (CURRENT, AVERAGING):
        checkpoint.pop(key, None)


def check_resumable(trainer: pl.Trainer, checkpoint: dict[str, Any], config: Path | None) -> None:
    """Checks that a run with weight averaging is resumed with it, because the optimizer needs the other weights.

    Args:
        trainer: The Trainer that resumes the run.
        checkpoint: The checkpoint to resume from.
        config: The configuration of the run, if the file exists.

    Raises:
        UserError: The Trainer has no weight averaging.
    """
    if CURRENT in checkpoint and _averaging(trainer) is None:
        again = f"--config {config}" if config else "the same trainer.callbacks"
        raise UserError(f"the run uses weight averaging, and cannot be resumed without it; add {again}")


def averages(trainer: pl.Trainer) -> bool:
    """Whether the Trainer has a callback for weight averaging.

    Args:
        trainer: The Trainer.
    """
    return _averaging(trainer) is not None


def _averaging(trainer: pl.Trainer) -> Any:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, WEIGHT_AVERAGING)), None)
