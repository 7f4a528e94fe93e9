"""Saves last.ckpt, the checkpoint to resume from."""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from emotion_lit.model.checkpoint import LAST
from emotion_lit.training.callbacks.finite import check_weights
from emotion_lit.training.callbacks.flag_sync import FlagSync
from emotion_lit.utils import distributed, signals


class LastCheckpoint(Checkpoint):
    """Saves all state that is needed to resume, in last.ckpt: weights, optimizer, callbacks, and data position.

    It is saved at the end of every epoch, after the best checkpoint and early stopping are updated, every few minutes
    in between, and when training stops inside an epoch. The one before is kept as previous.ckpt.

    Args:
        every_minutes: The minutes between saves during an epoch; a crash loses at most this much work.

    Attributes:
        asked: Whether any process has received a signal to stop.
        may_stop: Whether a run that stops at this batch can be resumed with the same result.
    """

    def __init__(self, every_minutes: float = 10.0) -> None:
        self.every_minutes = every_minutes
        self.asked = self.may_stop = False
        self._saved = time.monotonic()
        self._steps = 0
        self._stepped = False
        self._flag_sync = FlagSync()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._saved = time.monotonic()
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if it is due, except between accumulated batches, and before a validation, which would be skipped."""
        self._stepped, self._steps = trainer.global_step != self._steps, trainer.global_step
        self.asked, due = self._flag_sync.any(trainer, signals.received() is not None, self._is_due())
        self._save_during_epoch(trainer, not _validation_follows(trainer, batch_idx), due)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves if it is due and the epoch is not over."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            answers = self._flag_sync.any(trainer, signals.received() is not None, self._is_due(), now=True)
            self.asked, due = answers
            self._save_during_epoch(trainer, not trainer.is_last_batch, due)

    def _save_during_epoch(self, trainer: pl.Trainer, is_resumable: bool, due: bool) -> None:
        self.may_stop = self._stepped and is_resumable and not trainer.is_last_batch
        if self.may_stop and (due or self.asked or _ends_here(trainer)):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves at the end of an epoch; an epoch that was stopped early has been saved at that batch."""
        (self.asked,) = self._flag_sync.any(trainer, signals.received() is not None, now=True)
        if trainer.is_last_batch:
            self.save(trainer)

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved >= 60 * self.every_minutes

    def save(self, trainer: pl.Trainer) -> None:
        """Saves last.ckpt; call this between two optimizer steps or at the end of an epoch.

        Args:
            trainer: The Trainer.

        Raises:
            UserError: The weights are not finite.
        """
        if trainer.fast_dev_run or not trainer.log_dir:  # type: ignore[attr-defined]
            return
        with distributed.fail_together():
            check_weights(trainer)
        trainer.save_checkpoint(Path(trainer.log_dir) / "checkpoints" / LAST)
        self._saved = time.monotonic()


def _validation_follows(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether Lightning validates after this batch."""
    epochs = trainer.check_val_every_n_epoch
    if not trainer.enable_validation or (epochs is not None and (trainer.current_epoch + 1) % epochs):
        return False
    place = trainer.fit_loop.total_batch_idx if epochs is None else batch_idx
    every = trainer.val_check_batch
    due = every is not None and (place + 1) % every == 0
    return due or trainer.is_last_batch or trainer.should_stop


def _ends_here(trainer: pl.Trainer) -> bool:
    """Whether training ends at this batch, before the end of the epoch."""
    stops = trainer.should_stop and getattr(trainer.fit_loop, "_can_stop_early", True)
    return stops or 0 < trainer.max_steps <= trainer.global_step
