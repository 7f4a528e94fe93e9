"""How long a run will take, and how fast the machine could go, measured before the first epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from emotion_lit.data.batching import Batch, padded_tokens
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

# Batches that are measured, spread evenly over the lengths of the texts, after one that warms up.
MEASURED = 4
# A product that any machine computes at its best, and the least seconds to measure it for.
PEAK_SIZE = {"cpu": 1024, "mps": 4096, "cuda": 8192}
PEAK_SECONDS = 0.2


class Estimate(pl.Callback):
    """Says how long the run will take, and counts what a step computes; on one device only.

    Attributes:
        peak_flops: Floating-point operations per second of large matrix products in the run's precision.
        flops_per_token: Those of matrix products in a training step, per token of the batch, padding included.
    """

    def __init__(self) -> None:
        self.peak_flops = 0.0
        self.flops_per_token = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures a few steps, which train nothing."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        if trainer.fast_dev_run or trainer.max_epochs == trainer.current_epoch:  # type: ignore[attr-defined]
            return
        if trainer.world_size > 1:  # a backward pass of one process's own would wait for the others
            return
        self.peak_flops = matrix_peak(trainer)
        batches = [trainer.strategy.batch_to_device(batch) for batch in data.measured_batches(MEASURED)]
        with FlopCounterMode(display=False) as counter:
            _step(trainer, model, batches[0])
        self.flops_per_token = counter.get_total_flops() / padded_tokens(batches[0])
        device = trainer.strategy.root_device
        step = sum(_seconds(lambda batch=batch: _step(trainer, model, batch), device) for batch in batches)  # type: ignore[misc]
        score = sum(_seconds(lambda batch=batch: _score(trainer, model, batch), device) for batch in batches)  # type: ignore[misc]
        tokens = sum(padded_tokens(batch) for batch in batches)
        model.zero_grad(set_to_none=True)
        self._say(trainer, data, step / tokens, score / tokens)

    def _say(self, trainer: pl.Trainer, data: EmotionDataModule, per_trained: float, per_scored: float) -> None:
        tokens = {split: int(data.prepared(split).tokens.lengths.sum()) for split in ("train", "validation", "test")}
        epoch = tokens["train"] * per_trained + tokens["validation"] * per_scored
        last = tokens["test"] * per_scored
        epochs = _epochs_left(trainer)
        if epochs > 0:
            each = f"{epochs} epoch{'s' * (epochs > 1)} of {_duration(epoch)}"
            say(f"about {_duration(epochs * epoch + last)}: {each}, and {_duration(last)} for the scores after")


def _epochs_left(trainer: pl.Trainer) -> int:
    """Zero where nothing says when the run ends."""
    ends = [trainer.max_epochs - trainer.current_epoch] if (trainer.max_epochs or -1) > 0 else []  # type: ignore[operator]
    if trainer.max_steps > 0:
        ends.append(math.ceil((trainer.max_steps - trainer.global_step) / trainer.num_training_batches))
    return min(ends, default=0)


def matrix_peak(trainer: pl.Trainer) -> float:
    """Floating-point operations per second of a large matrix product, in the Trainer's precision and on its device.

    Args:
        trainer: The Trainer.
    """
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


def _step(trainer: pl.Trainer, model: EmotionClassifier, batch: Batch) -> None:
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


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
