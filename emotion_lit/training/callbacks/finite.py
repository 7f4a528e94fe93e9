"""Stops training if the loss or the weights become NaN or infinite, before they are saved."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import LAST, PREVIOUS, from_here
from emotion_lit.training.callbacks.flag_sync import FlagSync
from emotion_lit.training.callbacks.steps import batches_of_step
from emotion_lit.training.fsdp import local_shard
from emotion_lit.utils import distributed
from emotion_lit.utils.files import replace

ROWS_SHOWN, CHARACTERS_SHOWN = 8, 40
# Devices on which reading a value does not wait.
READ_AT_ONCE = ("cpu",)


class FiniteLoss(pl.Callback):
    """Stops training at a loss that is NaN or infinite; the error names the step and the rows of the batch.

    The index of the first such batch is kept in a tensor on the device. It is read after each batch on a CPU, and about
    once a second on a GPU or with several processes, because reading it waits for them.
    """

    def __init__(self) -> None:
        self._flag_sync = FlagSync()
        self._bad: Tensor | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Resets the index."""
        self._bad = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks the loss of a batch."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor):
            return
        if self._bad is None:
            self._bad = torch.full((), -1, device=loss.device)
        self._bad = torch.where((self._bad < 0) & ~loss.detach().isfinite(), batch_idx, self._bad)
        at_once = trainer.world_size == 1 and loss.device.type in READ_AT_ONCE
        if at_once or self._flag_sync.is_due(trainer):
            self._ask(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checks before the model is validated and saved."""
        self._ask(trainer)
        with distributed.fail_together():
            check_weights(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checks before the model is saved."""
        self._ask(trainer)

    def _ask(self, trainer: pl.Trainer) -> None:
        bad = -1 if self._bad is None else int(self._bad)
        with distributed.fail_together():
            if bad >= 0:
                self._stop(trainer, bad)

    def _stop(self, trainer: pl.Trainer, batch_idx: int) -> None:
        step = trainer.fit_loop.epoch_loop.total_batch_idx - trainer.fit_loop.epoch_loop.batch_idx + batch_idx
        step = step // trainer.accumulate_grad_batches + 1
        raise UserError(
            f"the loss is not a finite number at step {step} (batch {batch_idx + 1} of epoch "
            f"{trainer.current_epoch + 1}{_rows(trainer, batch_idx)}); {_restore_last(trainer, step - 2)}"
        )


def check_weights(trainer: pl.Trainer) -> None:
    """Checks that the trained weights are finite, before they are saved.

    Args:
        trainer: The Trainer.

    Raises:
        UserError: A weight is NaN or infinite.
    """
    trained = {
        name: local_shard(w.detach()) for name, w in trainer.lightning_module.named_parameters() if w.requires_grad
    }
    if bool(torch.stack([weight.double().sum() for weight in trained.values()]).isfinite().all()):
        return
    name = next((name for name, weight in trained.items() if not weight.isfinite().all()), None)
    if name is not None:
        raise UserError(
            f"the weights {name} are not finite numbers after step {trainer.global_step} "
            f"(epoch {trainer.current_epoch + 1}); {_restore_last(trainer, trainer.global_step - 1)}"
        )


def _rows(trainer: pl.Trainer, batch_idx: int) -> str:
    """The training rows of a batch, for the error message; empty if they are unknown."""
    batches = batches_of_step(trainer, batch_idx)
    data: Any = getattr(trainer, "datamodule", None)
    if batches is None:
        return ""
    rows = batches[trainer.global_rank].tolist()
    shown = ", ".join(map(str, rows[:ROWS_SHOWN]))
    more = f" and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else ""
    text = " ".join(data.rows("train").texts[rows[0]].split())[:CHARACTERS_SHOWN] if data else ""
    return f"; rows {shown}{more} of train, the first of which is {text!r}"


def _restore_last(trainer: pl.Trainer, last_finite: int) -> str:
    """Deletes checkpoints with bad weights, and returns the advice for the error message.

    Args:
        trainer: The Trainer.
        last_finite: The last step after which the loss was finite; later checkpoints are deleted.
    """
    last, previous = (Path(trainer.log_dir or ".") / "checkpoints" / name for name in (LAST, PREVIOUS))
    if trainer.is_global_zero:
        for file in (last, previous):
            if file.is_file() and torch.load(file, weights_only=True)["global_step"] > last_finite:
                file.unlink()
        if previous.is_file() and not last.is_file():
            replace(previous, last)
    kept = f"the last good checkpoint is {from_here(last)}" if last.is_file() else "no checkpoint was saved before"
    return f"{kept}. A smaller --model.learning_rate (and head_learning_rate) usually helps"
