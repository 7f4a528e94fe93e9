"""Logs values of training steps without reading them in the steps, because reading one waits for the GPU."""

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

# Seconds between two reads of the values.
SECONDS = 2.0


class StepLog(pl.Callback):
    """Keeps the values of steps on the device, and gives them to the loggers every few seconds.

    The tags, steps and values are those of `self.log(..., on_step=True)`.
    """

    def __init__(self) -> None:
        self._values: dict[str, Tensor] = {}
        self._steps: list[tuple[int, dict[str, float], dict[str, Tensor]]] = []
        self._read = time.monotonic()

    def note(self, name: str, value: Tensor) -> None:
        """Keeps a value of the current step.

        Args:
            name: Its tag.
            value: A scalar on any device.
        """
        self._values[name] = value.detach()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the values of a step that should be logged, and reads them if it is time."""
        loop, logs = trainer.fit_loop, trainer._logger_connector.should_update_logs
        if loop._should_accumulate() or not trainer.loggers:
            return
        if (logs or trainer.fast_dev_run) and self._values:  # type: ignore[attr-defined]
            place = loop.epoch_loop._batches_that_stepped
            self._steps.append((place, {"epoch": trainer.current_epoch}, self._values))
        self._values = {}
        if time.monotonic() - self._read >= SECONDS:
            self._write(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the values so far."""
        self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the values so far."""
        self._write(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Logs the values so far, the last ones before an error."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        steps, self._steps, self._read = self._steps, [], time.monotonic()
        if not steps:
            return
        flat = torch.stack([value.float() for *_, values in steps for value in values.values()]).tolist()
        numbers = iter(flat)
        for step, more, values in steps:
            metrics = {name: next(numbers) for name in values} | more
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step)
        for logger in trainer.loggers:
            logger.save()
