"""The figures of a run's report, for its page and for TensorBoard."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from emotion_lit.evaluation.prediction_table import AFTER, PredictionTable
from emotion_lit.reporting import tensorboard
from emotion_lit.reporting.learning_curves import read_learning_curves
from emotion_lit.reporting.run_report import draw_figures
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import is_sharded
from emotion_lit.training.hyperparameters import FINAL_METRICS, hyperparameters
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.split_predictions import embed_split
from emotion_lit.utils import nonfatal
from emotion_lit.utils.names import listed

# Embeddings ``[rows, width]``, and their row numbers.
Embedded = tuple[Tensor, list[int]]
# Validation texts in TensorBoard's projector, and the characters of each that it shows.
EMBEDDED_TEXTS, CHARACTERS = 1000, 100


def draw_report(
    trainer: pl.Trainer,
    model: EmotionClassifier,
    data: EmotionDataModule,
    report: dict[str, Any],
    kept: PredictionTable,
    folder: Path,
    embedded: Embedded | None,
) -> dict[str, Figure]:
    """Draws the figures of a report, and adds them to TensorBoard with the final scores and embeddings of texts.

    Args:
        trainer: The Trainer.
        model: The model, with the weights of the best checkpoint.
        data: The data.
        report: The report.
        kept: The predictions of the test rows.
        folder: The run folder.
        embedded: The result of `embed_validation`.

    Returns:
        The figures by name; none if drawing failed, which is reported and does not end the run.
    """
    drawn: dict[str, Figure] = {}
    with nonfatal.suppress("the report's figures"):
        drawn = draw_figures(report, kept, read_learning_curves(folder))
    with nonfatal.suppress("TensorBoard's figures"):
        if has_tensorboard(trainer):
            logger: Any = trainer.logger
            writer, step = logger.experiment, trainer.global_step
            tensorboard.add_report(writer, report, drawn, step)
            scores = {f"final/test_{key}": report[AFTER][key] for key in FINAL_METRICS}
            logger.log_hyperparams(hyperparameters(trainer, report), scores, step)
            logger.save()
            tensorboard.add_precision_recall_curves(writer, "test", kept.predictions(AFTER), model.labels, step)
            if embedded is not None:
                _add_embeddings(trainer, model, data, embedded)
    return drawn


def embed_validation(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> Embedded | None:
    """The embeddings of validation texts for TensorBoard's projector; None where nobody needs them.

    Args:
        trainer: The Trainer.
        model: The model, with the weights of the best checkpoint.
        data: The data.
    """
    takes_part = trainer.is_global_zero or is_sharded(trainer.strategy)
    if not takes_part or not has_tensorboard(trainer):
        return None
    with nonfatal.suppress("TensorBoard's figures"):
        return embed_split(trainer, model, data, "validation", EMBEDDED_TEXTS)
    return None


def _add_embeddings(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, embedded: Embedded) -> None:
    """Puts embeddings of validation texts into TensorBoard's projector."""
    logger: Any = trainer.logger
    embeddings, order = embedded
    rows = data.rows("validation")
    labels = [listed(model.labels[index] for index in rows.labels[row]) for row in order]
    texts = [" ".join(rows.texts[row].split())[:CHARACTERS] for row in order]
    tensorboard.add_embeddings(logger.experiment, "validation", embeddings, labels, texts, trainer.global_step)


def has_tensorboard(trainer: pl.Trainer) -> bool:
    """Whether the run logs for TensorBoard."""
    return isinstance(trainer.logger, TensorBoardLogger)
