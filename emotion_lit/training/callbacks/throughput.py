"""How much was trained on, in how long."""

import time
from typing import Any

import lightning.pytorch as pl

from emotion_lit.data.batching import padded_tokens
from emotion_lit.training.callbacks.context import data_of
from emotion_lit.training.callbacks.steps import batches_of_step, rows_of_step
from emotion_lit.training.callbacks.time_estimate import Estimate
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
    """Counts steps, texts and tokens, and the seconds that training them took, over all parts of a resumed run.

    Args:
        estimate: What counts a step's arithmetic and measures the machine's.

    Attributes:
        counts: ``steps``, ``samples``, ``tokens`` (without padding), ``padded_tokens``, ``train_seconds`` (the steps
            and their loading alone), ``loading_seconds`` (waiting for batches), ``encode_seconds`` (running what is
            frozen over the training rows, once) and ``wall_seconds`` (all of it, with validation and checkpoints).
    """

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate
        self.counts: dict[str, float] = dict.fromkeys(COUNTS, 0)
        self._pause: float | None = None
        self._wall = 0.0

    def add_encoding(self, seconds: float, training_rows: bool) -> None:
        """Counts the time that running what is frozen has taken.

        Args:
            seconds: The time.
            training_rows: Whether it was for them.
        """
        self.counts["wall_seconds"] += seconds
        if training_rows:
            self.counts["encode_seconds"] += seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks; a run that goes on inside an epoch has no start of the epoch."""
        data_of(self, trainer)  # whose batches say how many tokens they have
        self._wall = self._pause = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks."""
        self._wall = self._pause = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts how long the batch was waited for."""
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
        """Stops the clock of the steps."""
        self._stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of the steps again."""
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
        """What was done per second of training, and the shares of padding, of waiting, and of what the machine can do.

        Args:
            devices: How many devices shared the work.
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
        """Goes on from the counts of the run that is being resumed.

        Args:
            state_dict: What `state_dict` gave.
        """
        self.counts = {**self.counts, **state_dict}

    def _stop(self) -> None:
        if self._pause is not None:
            self.counts["train_seconds"] += time.perf_counter() - self._pause
            self._pause = None


def _tokens_of_step(trainer: pl.Trainer, batch: Any, batch_idx: int) -> tuple[int, int]:
    """Tokens that all processes have had, without and with padding."""
    batches = batches_of_step(trainer, batch_idx)
    if trainer.world_size == 1 or batches is None:
        return batch["tokens"], padded_tokens(batch)
    dataset: Any = trainer.train_dataloader.dataset  # type: ignore[union-attr]
    tokens = sum(int(dataset.tokens.lengths[rows].sum()) for rows in batches)
    if "input_ids" not in batch:
        return tokens, tokens
    return tokens, sum(int(dataset.padded_lengths[rows].max()) * len(rows) for rows in batches)
