"""Stops training at a signal, with all kept that is needed to go on."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from emotion_lit import failures, schedulers, signals
from emotion_lit.callbacks.checkpoints import LastCheckpoint


class Interruption(Checkpoint):
    """Ends `fit` at a signal after the optimizer's step that is under way, or after the validation, with last.ckpt.

    It is a `Checkpoint` so that Lightning calls it after all that counts and saves.

    Args:
        arguments: The command's, by which a requeued job knows its run.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = arguments
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes the run folder known."""
        folder = trainer.log_dir  # asks all processes
        if folder and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            failures.run_folder = Path(folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on there is something to keep."""
        self._step = trainer.global_step
        signals.take_over()
        signals.defer("this step or validation")
        if failures.run_folder:
            schedulers.keep_record(failures.run_folder, self.arguments)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and stops; not between accumulated gradients, nor before a validation, which a resume would skip."""
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        place = trainer.fit_loop.total_batch_idx if trainer.check_val_every_n_epoch is None else batch_idx
        every = trainer.val_check_batch
        validates = trainer.is_last_batch or (every is not None and (place + 1) % every == 0)
        if self._asked(trainer) and stepped and not validates:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, LastCheckpoint):
                    callback.save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops; the end of an epoch has been saved."""
        if self._asked(trainer):
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops before the report, if there was a signal since; while it is made, a signal ends it at once."""
        if self._asked(trainer):
            self._stop(trainer)
        signals.defer("")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forgets the job of a run that is complete."""
        signals.defer("")
        if failures.run_folder and not signals.received():
            schedulers.remove_record(failures.run_folder)

    def _asked(self, trainer: pl.Trainer) -> bool:
        return bool(trainer.strategy.reduce_boolean_decision(signals.received() is not None, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            raise SystemExit(0)  # how the command ends depends on the first process
        raise signals.Stop(signals.received() or signal.SIGTERM)
