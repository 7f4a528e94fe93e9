"""Ends a training that no longer gets better."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from emotion_lit.training.metrics import default_monitor
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.monitors import Mode, better


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, with the metric that `BestCheckpoint` watches too.

    Args:
        monitor: The metric that decides; by default `val/macro_f1`, and with several labels a text
            `val/macro_average_precision`.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better; by default what suits the metric.
        kwargs: The other settings of Lightning's callback.
    """

    block = "early_stopping"

    def __init__(self, monitor: str | None = None, mode: Mode | None = None, patience: int = 3, **kwargs: Any) -> None:
        watched = monitor or default_monitor(multi_label=False)
        super().__init__(monitor=watched, mode=mode or better(watched), patience=patience, **kwargs)
        self._chosen = monitor is not None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Takes the metric that suits the labels, unless one was chosen."""
        if not self._chosen and isinstance(pl_module, EmotionClassifier):
            self.monitor = default_monitor(pl_module.multi_label)
        super().setup(trainer, pl_module, stage)
