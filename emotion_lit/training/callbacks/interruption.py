"""Stops training at a signal, after last.ckpt is saved, so that the run can be resumed."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from emotion_lit.training import requeue
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.utils import distributed, failures, signals


class Interruption(Checkpoint):
    """Ends `fit` at a signal, after the current optimizer step or validation, when last.ckpt is saved.

    It is a `Checkpoint`, because Lightning calls checkpoint callbacks last.

    Args:
        arguments: The arguments of the command, by which a requeued job finds its run.
        last: The callback that saves last.ckpt; Lightning calls it before this one.
    """

    def __init__(self, arguments: Sequence[str], last: LastCheckpoint) -> None:
        self.arguments = arguments
        self.last = last
        self._folder: Path | None = None  # of the run, on the first process

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Sets the run folder for error messages."""
        folder = trainer.log_dir  # a collective operation
        if folder and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._folder = failures.run_folder = Path(folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Defers signals from now on, because there is state to save."""
        signals.take_over()
        # Lightning exchanges its own flag in every step, which waits for the GPU; `LastCheckpoint` has exchanged ours.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]
        signals.defer("this step or validation")
        if self._folder:
            requeue.write_record(self._folder, self.arguments)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops if a signal was received, for which the last checkpoint has just been saved."""
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops after a validation during an epoch, if a signal was received."""
        if not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops if a signal was received; the end of the epoch is saved."""
        if self.last.asked:
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops before the report if a signal was received; while the report is made, a signal ends the run at once."""
        if any(distributed.all_gather(signals.received() is not None)):
            self._stop(trainer)
        signals.defer("")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Removes the requeue record of a completed run."""
        signals.defer("")
        if self._folder and not signals.received():
            requeue.remove_record(self._folder)

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self.last.asked and self.last.may_stop:
            self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        distributed.barrier()
        if not trainer.is_global_zero:
            raise SystemExit(0)  # the exit code is that of the first process
        raise signals.Stop(signals.received() or signal.SIGTERM)


def _nothing() -> None:
    pass
