"""Draws each validation for TensorBoard, and keeps the predictions of the best one."""

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from emotion_lit.evaluation.calibration import reliability
from emotion_lit.evaluation.collector import PredictionCollector
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.reporting.figures import confusion_figure, reliability_figure
from emotion_lit.reporting.tensorboard import CUSTOM_SCALARS, add_precision_recall_curves
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import is_reported, model_of
from emotion_lit.utils import nonfatal


class ValidationFigures(pl.Callback):
    """Draws each validation, and keeps the predictions of the best one, so that the report need not compute them again.

    Attributes:
        best_step: The step of the best validation.
        best: Its predictions.
        seconds: How long drawing took.
    """

    def __init__(self) -> None:
        self.best_step = -1
        self.best: LabeledPredictions | None = None
        self.seconds = 0.0
        self._best_score: float | None = None
        self._collected = PredictionCollector()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts training and validation on one chart for each metric (TensorBoard's Custom Scalars)."""
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.current_epoch == 0:
            with nonfatal.suppress("TensorBoard's figures"):
                trainer.logger.experiment.add_custom_scalars(CUSTOM_SCALARS)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets the predictions of the last validation."""
        self._collected = PredictionCollector()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Collects the probabilities of a batch."""
        self._collected.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws, and keeps the predictions if they are the best so far."""
        model = model_of(self, pl_module)
        if trainer.sanity_checking:
            return
        start = time.perf_counter()
        predictions = self._collected.gathered().predictions(model.multi_label, list(model.decision.thresholds))
        self._keep_if_best(trainer, predictions)
        if trainer.is_global_zero and isinstance(trainer.logger, TensorBoardLogger) and is_reported(trainer):
            with nonfatal.suppress("TensorBoard's figures"):
                writer, step = trainer.logger.experiment, max(trainer.global_step - 1, 0)  # that of the scalars
                writer.add_figure("validation/confusion", confusion_figure(predictions, model.labels), step)
                writer.add_figure("validation/reliability", reliability_figure(reliability(predictions)), step)
                add_precision_recall_curves(writer, "validation", predictions, model.labels, step)
        self.seconds += time.perf_counter() - start

    def _keep_if_best(self, trainer: pl.Trainer, predictions: LabeledPredictions) -> None:
        checkpoint = best_checkpoint(trainer)
        if checkpoint is None or checkpoint.monitor not in trainer.callback_metrics:
            return
        sign = 1 if checkpoint.mode == "max" else -1
        score = sign * float(trainer.callback_metrics[checkpoint.monitor])
        if self._best_score is None or score > self._best_score:
            self._best_score, self.best, self.best_step = score, predictions, trainer.global_step
