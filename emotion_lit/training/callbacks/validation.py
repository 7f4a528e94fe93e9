"""What the model said about the validation rows, epoch by epoch, as figures in TensorBoard."""

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from emotion_lit.evaluation.calibration import reliability
from emotion_lit.evaluation.predictions import Outputs
from emotion_lit.reporting.figures import confusion_figure, reliability_figure
from emotion_lit.reporting.tensorboard import add_curves
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import model_of
from emotion_lit.training.callbacks.evaluation import Collected
from emotion_lit.utils import nonfatal

# Charts and the patterns of the scalars on them.
LAYOUT = {
    "training and validation": {
        "loss": ["Multiline", ["^train/loss_epoch$", "^val/loss$"]],
        "macro-F1": ["Multiline", ["^train/macro_f1$", "^val/macro_f1$"]],
        "accuracy": ["Multiline", ["^train/accuracy$", "^val/accuracy$"]],
    }
}


class ValidationFigures(pl.Callback):
    """Draws every validation, and keeps the outputs of the best one, which the report would otherwise compute again.

    Attributes:
        best_step: The step of the best validation.
        best: Its outputs.
        seconds: How long the drawing took.
    """

    def __init__(self) -> None:
        self.best_step = -1
        self.best: Outputs | None = None
        self.seconds = 0.0
        self._best_score: float | None = None
        self._collected = Collected()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts training and validation on one chart a metric (TensorBoard's Custom Scalars)."""
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.current_epoch == 0:
            with nonfatal.suppress("TensorBoard's figures"):
                trainer.logger.experiment.add_custom_scalars(LAYOUT)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins anew."""
        self._collected = Collected()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the probabilities of a step."""
        self._collected.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws, and keeps what is better than all before."""
        model = model_of(self, pl_module)
        if trainer.sanity_checking:
            return
        start = time.perf_counter()
        outputs = self._collected.of_all().outputs(model)
        self._keep_if_best(trainer, outputs)
        if trainer.is_global_zero and isinstance(trainer.logger, TensorBoardLogger):
            with nonfatal.suppress("TensorBoard's figures"):
                writer, step = trainer.logger.experiment, max(trainer.global_step - 1, 0)  # as scalars of now
                writer.add_figure("validation/confusion", confusion_figure(outputs, model.labels), step)
                writer.add_figure("validation/reliability", reliability_figure(reliability(outputs)), step)
                add_curves(writer, "validation", outputs, model.labels, step)
        self.seconds += time.perf_counter() - start

    def _keep_if_best(self, trainer: pl.Trainer, outputs: Outputs) -> None:
        kept = best_checkpoint(trainer)
        if kept is None or kept.monitor not in trainer.callback_metrics:
            return
        sign = 1 if kept.mode == "max" else -1
        score = sign * float(trainer.callback_metrics[kept.monitor])
        if self._best_score is None or score > self._best_score:
            self._best_score, self.best, self.best_step = score, outputs, trainer.global_step
