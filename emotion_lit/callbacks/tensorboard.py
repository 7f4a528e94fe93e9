"""What TensorBoard shows beside the scalars: figures, curves, mistakes, settings with scores, and the projector."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure

from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.evaluation.outputs import Outputs
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.names import SHOWN_CLASSES, listed, shown, shown_apart

# Validation rows in the projector, and how much of their texts.
PROJECTED, CHARACTERS = 1000, 100
BATCH = 32
# The scores that HPARAMS sorts runs by.
FINAL = ("accuracy", "macro_f1", "loss", "ece")


def add_curves(writer: Any, name: str, outputs: Outputs, labels: Sequence[str], step: int) -> None:
    """Puts precision-recall curves into TensorBoard, one for each class, or for the most frequent of many.

    Args:
        writer: TensorBoard's writer.
        name: What stands before the class in the tag.
        outputs: The outputs.
        labels: The names of the classes.
        step: The step.
    """
    truth, tags = outputs.truth, shown_apart(labels)
    for place in np.argsort(-truth.sum(axis=0), kind="stable")[:SHOWN_CLASSES].tolist():
        scores = torch.from_numpy(outputs.probabilities[:, place].copy())
        writer.add_pr_curve(f"{name}/{tags[place]}", torch.from_numpy(truth[:, place].copy()), scores, step)


def log_report(
    logger: TensorBoardLogger,
    model: EmotionClassifier,
    data: EmotionDataModule,
    report: dict[str, Any],
    drawn: Mapping[str, Figure],
    step: int,
) -> None:
    """Puts the report's figures and mistakes into TensorBoard, and the settings with the final scores.

    Args:
        logger: Whose writer to use.
        model: The model.
        data: The data.
        report: The report.
        drawn: Its figures.
        step: The step.
    """
    writer = logger.experiment
    for name, figure in drawn.items():
        writer.add_figure(f"test/{name}", figure, step)
    writer.add_text("test/worst mistakes", _mistakes(report["mistakes"]), step)
    settings = {f"model/{key}": shown(str(value), CHARACTERS) for key, value in model.settings.items()}
    settings |= {f"data/{key}": shown(str(value), CHARACTERS) for key, value in data.settings.items()}
    settings["model/trainable_parameters"] = str(report["training"]["trainable_parameters"])
    logger.log_hyperparams(settings, {f"final/test_{key}": report["after"][key] for key in FINAL})
    logger.save()


def _mistakes(mistakes: Sequence[dict[str, Any]]) -> str:
    """As a block of code, in which no text is taken for markup."""
    lines = [
        f"    {one['confidence']:.3f}  {shown(one['truth'])} taken for {shown(one['prediction'])}: "
        f"{' '.join(one['text'].split())}"
        for one in mistakes
    ]
    return "\n".join(lines) or "none"


def project(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> None:
    """Puts what the classifier reads of some validation rows into the projector, with their labels and texts.

    Args:
        trainer: The Trainer, with TensorBoard's logger.
        model: The model.
        data: The data.
    """
    dataset, rows = data.prepared("validation"), data.rows("validation")
    places = np.linspace(0, len(rows) - 1, min(PROJECTED, len(rows))).astype(int)
    order = places[np.argsort(dataset.padded_lengths[places], kind="stable")]
    parts = np.array_split(order, -(-len(order) // BATCH))
    model.eval()
    with torch.inference_mode(), trainer.precision_plugin.val_step_context():
        batches = (trainer.strategy.batch_to_device(dataset[part.tolist()]) for part in parts)
        vectors = [model.embed(batch).float().cpu() for batch in batches]
    named = [listed(model.labels[index] for index in rows.labels[row]) for row in order]
    texts = [" ".join(rows.texts[row].split())[:CHARACTERS] for row in order]
    trainer.logger.experiment.add_embedding(  # type: ignore[union-attr]
        torch.cat(vectors),
        [list(pair) for pair in zip(named, texts, strict=True)],
        tag="validation",
        metadata_header=["label", "text"],
        global_step=trainer.global_step,
    )
