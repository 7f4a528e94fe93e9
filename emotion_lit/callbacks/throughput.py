"""How much was trained on, in how long."""

import time
from typing import Any

import lightning.pytorch as pl


class Throughput(pl.Callback):
    """Counts steps, texts and tokens, and the seconds that training them took, over all parts of a resumed run.

    Attributes:
        counts: ``steps``, ``samples``, ``tokens`` (without padding), ``padded_tokens``, ``train_seconds`` (the steps
            and their loading alone) and ``wall_seconds`` (with validation and checkpoints).
    """

    def __init__(self) -> None:
        self.counts: dict[str, float] = dict.fromkeys(
            ("steps", "samples", "tokens", "padded_tokens", "train_seconds", "wall_seconds"), 0
        )
        self._pause: float | None = None
        self._wall = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clocks."""
        self._wall = self._pause = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts a step."""
        rows = len(batch["row"])
        padded = batch["input_ids"].numel() if "input_ids" in batch else batch["tokens"]
        ranks = trainer.world_size
        self.counts["steps"] += 1
        self.counts["samples"] += rows * ranks
        self.counts["tokens"] += batch["tokens"] * ranks
        self.counts["padded_tokens"] += padded * ranks
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
        pl_module.log_dict({f"speed/{key}": value for key, value in self.rates().items()}, sync_dist=True)

    def rates(self) -> dict[str, float]:
        """Samples, tokens and steps per second of training, and the share of padding."""
        counts, seconds = self.counts, max(self.counts["train_seconds"], 1e-9)
        return {
            "samples_per_second": counts["samples"] / seconds,
            "tokens_per_second": counts["tokens"] / seconds,
            "steps_per_second": counts["steps"] / seconds,
            "padding_share": 1 - counts["tokens"] / max(counts["padded_tokens"], 1),
        }

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return self.counts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the counts of the run that is being resumed.

        Args:
            state_dict: What `state_dict` gave.
        """
        self.counts = dict(state_dict)

    def _stop(self) -> None:
        if self._pause is not None:
            self.counts["train_seconds"] += time.perf_counter() - self._pause
            self._pause = None
