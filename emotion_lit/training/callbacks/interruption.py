"""Stops training at a signal, with all kept that is needed to go on."""

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
    """Ends `fit` at a signal after the optimizer's step that is under way, or after the validation, with last.ckpt.

    It is a `Checkpoint` so that Lightning calls it after all that counts and saves.

    Args:
        arguments: The command's, by which a requeued job knows its run.
        last: What saves; it comes before this one.
    """

    def __init__(self, arguments: Sequence[str], last: LastCheckpoint) -> None:
        self.arguments = arguments
        self.last = last

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes the run folder known."""
        folder = trainer.log_dir  # asks all processes
        if folder and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            failures.run_folder = Path(folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on there is something to keep."""
        signals.take_over()
        signals.defer("this step or validation")
        if failures.run_folder:
            requeue.write_record(failures.run_folder, self.arguments)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops, where the last checkpoint has just been saved therefore."""
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops after a validation inside an epoch."""
        if not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops; the end of an epoch has been saved."""
        if self.last.asked:
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops before the report, if there was a signal since; while it is made, a signal ends it at once."""
        if any(distributed.all_gather(signals.received() is not None)):
            self._stop(trainer)
        signals.defer("")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forgets the job of a run that is complete."""
        signals.defer("")
        if failures.run_folder and not signals.received():
            requeue.remove_record(failures.run_folder)

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self.last.asked and self.last.may_stop:
            self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        distributed.barrier()
        if not trainer.is_global_zero:
            raise SystemExit(0)  # how the command ends depends on the first process
        raise signals.Stop(signals.received() or signal.SIGTERM)
