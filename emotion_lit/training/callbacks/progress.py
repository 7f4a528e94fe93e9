"""Progress bars that count texts, and a line for each epoch, on stderr."""

import math
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ProgressBar, Timer
from tqdm import tqdm

from emotion_lit.model.batches import size_of
from emotion_lit.training.callbacks.steps import rows_of_step
from emotion_lit.utils.console import progress_bar, say

# Seconds between two reads of the training loss that a progress bar shows.
LOSS_SECONDS = 1.0


class TextProgress(ProgressBar):
    """Progress bars of training, evaluation and prediction that count texts."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._train: tqdm[Any] | None = None
        self._evaluation: tqdm[Any] | None = None
        self._read = -math.inf

    def disable(self) -> None:
        """Hides the bars; Lightning calls it on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Shows the bars again."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the bar of an epoch."""
        if self._enabled:
            epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
            title = f"epoch {trainer.current_epoch + 1}{epochs}"
            self._train = progress_bar(title, _rows(trainer.train_dataloader))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the texts of a step."""
        if self._train is None or not self._train.update(rows_of_step(trainer, batch, batch_idx)):
            return
        if time.monotonic() - self._read >= LOSS_SECONDS:  # because it waits for a GPU
            self._read = time.monotonic()
            self._train.set_postfix(loss=f"{outputs['loss'].item():.3f}", refresh=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the bar, before the line about the epoch."""
        if self._train is not None:
            self._train.close()
            self._train = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the bar of a validation."""
        self._start("validate", _rows(trainer.val_dataloaders))

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the bar of a test."""
        self._start("test", _rows(trainer.test_dataloaders))

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the bar of a prediction."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._start("predict", getattr(data, "rows_to_label", None), getattr(data, "rows_done", 0))

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Counts the texts of a step."""
        self._count(trainer, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Counts the texts of a step."""
        self._count(trainer, batch)

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Counts the texts of a step; other processes may have fewer left than this one."""
        bar = self._evaluation
        if bar is not None:
            rows = size_of(batch) * trainer.world_size
            bar.update(rows if bar.total is None else min(rows, bar.total - bar.n))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the bar."""
        self._stop()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the bar."""
        self._stop()

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the bar, before the line about the output."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Clears the bars, so that the error message has a line of its own."""
        self._stop()
        if self._train is not None:
            self._train.close()

    def _start(self, title: str, total: int | None, done: int = 0) -> None:
        if self._enabled:
            self._evaluation = progress_bar(title, total, done)

    def _count(self, trainer: pl.Trainer, batch: Any) -> None:
        if self._evaluation is not None:
            self._evaluation.update(size_of(batch) * trainer.world_size)

    def _stop(self) -> None:
        if self._evaluation is not None:
            self._evaluation.close()
            self._evaluation = None


class EpochSummary(pl.Callback):
    """Prints one line about each epoch."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._texts = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock; a run that is resumed inside an epoch has no start of the epoch."""
        self._begin()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._begin()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the texts of a step."""
        self._texts += rows_of_step(trainer, batch, batch_idx)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the metrics of the epoch."""
        metrics = trainer.callback_metrics  # asks all processes
        if not trainer.is_global_zero:
            return
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        shown = [f"{name} {float(metrics[key]):.3f}" for name, key in _EPOCH_METRICS if key in metrics]
        took = f"{self._texts:,} texts in {time.perf_counter() - self._start:.0f} s"
        say(f"epoch {trainer.current_epoch + 1}{epochs}: {', '.join([took, *shown])}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints why training stops before its last epoch."""
        if trainer.should_stop and (reason := _why_it_stopped(trainer)):
            say(f"training stops: {reason}")

    def _begin(self) -> None:
        self._start, self._texts = time.perf_counter(), 0


_EPOCH_METRICS = (
    ("training loss", "train/loss_epoch"),
    ("validation loss", "val/loss"),
    ("validation macro-F1", "val/macro_f1"),
    ("macro average precision", "val/macro_average_precision"),
)


def _why_it_stopped(trainer: pl.Trainer) -> str | None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopped_epoch:
            message = getattr(callback, "stopping_reason_message", None) or f"early stopping on {callback.monitor}"
            return str(message).removesuffix(" Signaling Trainer to stop.")
        if isinstance(callback, Timer) and (callback.time_remaining() or 1) <= 0:
            return "trainer.max_time is reached"
    return None


def _rows(loader: Any) -> int | None:
    dataset = getattr(loader, "dataset", None)
    return len(dataset) if dataset is not None and hasattr(dataset, "__len__") else None
