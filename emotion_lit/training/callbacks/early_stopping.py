"""Early stopping, with a default metric that suits the labels."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from emotion_lit.training.metrics import default_monitor
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.monitors import Mode, monitor_mode


class EarlyStopping(LightningEarlyStopping):
    """Lightning's `EarlyStopping`, by default with the metric that `BestCheckpoint` monitors.

    Args:
        monitor: The metric to monitor. By default `val/macro_f1`, and for multi-label data
            `val/macro_average_precision`.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better. By default it depends on the metric.
        kwargs: The other arguments of Lightning's callback.
    """

    block = "early_stopping"

    def __init__(self, monitor: str | None = None, mode: Mode | None = None, patience: int = 3, **kwargs: Any) -> None:
        metric = monitor or default_monitor(multi_label=False)
        super().__init__(monitor=metric, mode=mode or monitor_mode(metric), patience=patience, **kwargs)
        self._chosen = monitor is not None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Sets the default metric for the labels, unless one was chosen."""
        if not self._chosen and isinstance(pl_module, EmotionClassifier):
            self.monitor = default_monitor(pl_module.multi_label)
        super().setup(trainer, pl_module, stage)
