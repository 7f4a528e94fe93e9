"""Estimates how long a run will take, and measures the speed of the machine, before the first epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from emotion_lit.data.batching import Batch, padded_tokens
from emotion_lit.data.loaders import measured_batches
from emotion_lit.model.graphed_network import RECORDED_AT
from emotion_lit.training.callbacks.context import data_of, is_reported, model_of
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import is_sharded
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import platforms
from emotion_lit.utils.console import is_only_in_log, say
from emotion_lit.utils.durations import duration

# Batches that are timed, spread evenly over the lengths of the texts, after a warm-up batch.
MEASURED = 4
# The size of a matrix product that reaches the peak of the device, and the seconds to measure it for.
PEAK_SIZE = {"cpu": 1024, "mps": 4096, "cuda": 8192}
PEAK_SECONDS = 0.2


class TimeEstimate(pl.Callback):
    """Prints how long the run will take, and counts the floating-point operations of a step; on one device only.

    Attributes:
        peak_flops: Floating-point operations per second of a large matrix product in the run's precision.
        seconds: How long the run will take; None if that is not known.
        flops_per_token: Floating-point operations of a training step for each token of the batch, including padding.
    """

    def __init__(self) -> None:
        self.peak_flops = 0.0
        self.flops_per_token = 0.0
        self.seconds: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts the operations of a training step and times a few, without updating the weights."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        if trainer.fast_dev_run or trainer.max_epochs == trainer.current_epoch:  # type: ignore[attr-defined]
            return
        # A backward pass of one process alone would wait for the others.
        if trainer.world_size > 1 or is_sharded(trainer.strategy):
            return
        self.peak_flops = matrix_peak(trainer)
        measured = measured_batches(data.prepared("train"), data.settings, MEASURED, model.device.type)
        batches = [trainer.strategy.batch_to_device(batch) for batch in measured]
        with FlopCounterMode(display=False) as counter:
            step(trainer, model, batches[0])
        self.flops_per_token = counter.get_total_flops() / padded_tokens(batches[0])
        if not is_only_in_log():  # as that of a later trial of a sweep is, for which nobody waits
            self._time(trainer, model, data, batches)
        model.zero_grad(set_to_none=True)

    def _time(self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, batches: list[Any]) -> None:
        device = trainer.strategy.root_device
        for batch in batches * RECORDED_AT if model.acceleration.graphs else ():
            step(trainer, model, batch)
        stepping = sum(_seconds(lambda batch=batch: step(trainer, model, batch), device) for batch in batches)  # type: ignore[misc]
        scoring = sum(_seconds(lambda batch=batch: _score(trainer, model, batch), device) for batch in batches)  # type: ignore[misc]
        tokens = sum(padded_tokens(batch) for batch in batches)
        self._print(trainer, data, stepping / tokens, scoring / tokens)

    def _print(self, trainer: pl.Trainer, data: EmotionDataModule, per_trained: float, per_scored: float) -> None:
        tokens = {split: int(data.prepared(split).tokens.lengths.sum()) for split in ("train", "validation", "test")}
        epoch = tokens["train"] * per_trained + tokens["validation"] * per_scored
        last = tokens["test"] * per_scored if is_reported(trainer) else 0.0
        epochs = _epochs_left(trainer)
        if epochs > 0:
            self.seconds = epochs * epoch + last
            each = f"{epochs} epoch{'s' * (epochs > 1)} of {duration(epoch)}"
            test = f", and {duration(last)} for the test scores" if last else ""
            say(f"about {duration(self.seconds)}: {each}{test}")


def _epochs_left(trainer: pl.Trainer) -> int:
    """The number of epochs left; 0 if the run has no end."""
    ends = [trainer.max_epochs - trainer.current_epoch] if (trainer.max_epochs or -1) > 0 else []  # type: ignore[operator]
    if trainer.max_steps > 0:
        ends.append(math.ceil((trainer.max_steps - trainer.global_step) / trainer.num_training_batches))
    return min(ends, default=0)


def matrix_peak(trainer: pl.Trainer) -> float:
    """Floating-point operations per second of a large matrix product, in the Trainer's precision and on its device."""
    device = trainer.strategy.root_device
    size = PEAK_SIZE.get(device.type, 1024)
    left, right = torch.randn(2, size, size, device=device)
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        product: Callable[[], Any] = lambda: torch.mm(left, right)  # noqa: E731
        if product().dtype != left.dtype:  # autocast would convert the factors each time
            left, right = left.to(product().dtype), right.to(product().dtype)
        best, start = 1e9, time.perf_counter()
        while time.perf_counter() - start < PEAK_SECONDS:
            best = min(best, _seconds(product, device))
    return 2 * size**3 / best


def step(trainer: pl.Trainer, model: EmotionClassifier, batch: Batch) -> None:
    """A training step without the optimizer: forward, loss, and backward.

    Args:
        trainer: The Trainer.
        model: The model.
        batch: A batch on its device.
    """
    with trainer.precision_plugin.train_step_context():
        loss = model.loss(model(batch), batch["targets"])
    torch.autograd.backward(loss)


@torch.inference_mode()
def _score(trainer: pl.Trainer, model: EmotionClassifier, batch: Batch) -> None:
    with trainer.precision_plugin.val_step_context():
        model(batch)


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    platforms.synchronize(device)
    return time.perf_counter() - start
