"""Counts steps, texts and tokens, and measures the training time."""

import time
from typing import Any

import lightning.pytorch as pl

from emotion_lit.data.batching import padded_tokens
from emotion_lit.training.callbacks.context import data_of
from emotion_lit.training.callbacks.steps import batches_of_step, rows_of_step
from emotion_lit.training.callbacks.time_estimate import TimeEstimate
from emotion_lit.utils.memory import memory_mb

COUNTS = (
    "steps",
    "samples",
    "tokens",
    "padded_tokens",
    "train_seconds",
    "loading_seconds",
    "encode_seconds",
    "wall_seconds",
)


class Throughput(pl.Callback):
    """Counts steps, texts and tokens, and measures the training time, also across the parts of a resumed run.

    Args:
        estimate: The callback that counts the floating-point operations of a step.

    Attributes:
        counts: ``steps``, ``samples``, ``tokens`` (without padding), ``padded_tokens``, ``train_seconds`` (steps and
            loading their batches), ``loading_seconds`` (waiting for batches), ``encode_seconds`` (filling the feature
            cache of the training rows) and ``wall_seconds`` (everything, with validation and checkpoints).
    """

    def __init__(self, estimate: TimeEstimate) -> None:
        self.estimate = estimate
        self.counts: dict[str, float] = dict.fromkeys(COUNTS, 0)
        self._pause: float | None = None
        self._wall = 0.0

    def add_encoding(self, seconds: float, training_rows: bool) -> None:
        """Adds the time that filling the feature cache of a split took.

        Args:
            seconds: The time.
            training_rows: Whether it was that of the training split.
        """
        self.counts["wall_seconds"] += seconds
        if training_rows:
            self.counts["encode_seconds"] += seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks; a run that is resumed inside an epoch has no start of the epoch."""
        data_of(self, trainer)  # only its batches have token counts
        self._wall = self._pause = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks."""
        self._wall = self._pause = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts how long it waited for the batch."""
        if self._pause is not None:
            self.counts["loading_seconds"] += time.perf_counter() - self._pause

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts a step."""
        self.counts["steps"] += 1
        self.counts["samples"] += rows_of_step(trainer, batch, batch_idx)
        tokens, padded = _tokens_of_step(trainer, batch, batch_idx)
        self.counts["tokens"] += tokens
        self.counts["padded_tokens"] += padded
        self._stop()
        self._pause = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock of the training steps."""
        self._stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of the training steps again."""
        self._pause = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch's speed."""
        self._stop()
        now = time.perf_counter()
        self.counts["wall_seconds"] += now - self._wall
        self._wall = now
        speed = {**self.rates(trainer.world_size), "memory_mb": memory_mb()}
        pl_module.log_dict({f"speed/{key}": value for key, value in speed.items()}, sync_dist=True)

    def rates(self, devices: int = 1) -> dict[str, float]:
        """Samples, tokens and steps per second of training, and the shares of padding, waiting and peak speed.

        Args:
            devices: The number of devices that shared the work.
        """
        counts, seconds = self.counts, max(self.counts["train_seconds"], 1e-9)
        flops = self.estimate.flops_per_token * counts["padded_tokens"] / seconds / devices
        return {
            "samples_per_second": counts["samples"] / seconds,
            "tokens_per_second": counts["tokens"] / seconds,
            "steps_per_second": counts["steps"] / seconds,
            "padding_share": 1 - counts["tokens"] / max(counts["padded_tokens"], 1),
            "loading_share": counts["loading_seconds"] / seconds,
            "gflops_per_second": flops / 1e9,
            "peak_share": flops / self.estimate.peak_flops if self.estimate.peak_flops else 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return self.counts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues the counts of the run that is being resumed."""
        self.counts = {**self.counts, **state_dict}

    def _stop(self) -> None:
        if self._pause is not None:
            self.counts["train_seconds"] += time.perf_counter() - self._pause
            self._pause = None


def _tokens_of_step(trainer: pl.Trainer, batch: Any, batch_idx: int) -> tuple[int, int]:
    """The tokens of a step in all processes, without and with padding."""
    batches = batches_of_step(trainer, batch_idx)
    if trainer.world_size == 1 or batches is None:
        return batch["tokens"], padded_tokens(batch)
    dataset: Any = trainer.train_dataloader.dataset  # type: ignore[union-attr]
    tokens = sum(int(dataset.tokens.lengths[rows].sum()) for rows in batches)
    if "input_ids" not in batch:
        return tokens, tokens
    return tokens, sum(int(dataset.padded_lengths[rows].max()) * len(rows) for rows in batches)
