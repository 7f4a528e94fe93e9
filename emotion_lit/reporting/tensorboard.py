"""What TensorBoard shows beside the scalars: figures, curves, mistakes, settings with scores, and the projector."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from matplotlib.figure import Figure

from emotion_lit.evaluation.predictions import Outputs
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils.names import SHOWN_CLASSES, listed, shown, shown_apart

# Validation rows in the projector, and how much of their texts.
PROJECTED, CHARACTERS = 1000, 100
BATCH = 32
# What HPARAMS shows of the Trainer, and where it shows the learning rates of the parts of the model.
OF_TRAINER = ("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "precision")
RATES = {"encoder": "model/learning_rate", "head": "model/head_learning_rate"}
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


def log_report(trainer: pl.Trainer, report: dict[str, Any], drawn: Mapping[str, Figure]) -> None:
    """Puts the report's figures and mistakes into TensorBoard, and the settings with the final scores.

    Args:
        trainer: The Trainer, with TensorBoard's logger.
        report: The report.
        drawn: Its figures.
    """
    logger: Any = trainer.logger
    writer, step = logger.experiment, trainer.global_step
    for name, figure in drawn.items():
        writer.add_figure(f"test/{name}", figure, step)
    writer.add_text("test/worst mistakes", _mistakes(report["mistakes"]), step)
    scores = {f"final/test_{key}": report["after"][key] for key in FINAL}
    logger.log_hyperparams(_settings(trainer, report), scores, step)
    logger.save()


def _settings(trainer: pl.Trainer, report: dict[str, Any]) -> dict[str, int | float | str]:
    """The settings of a run as they took effect, numbers as numbers, so that HPARAMS can sort by them."""
    model: Any = trainer.lightning_module
    found: dict[str, Any] = {f"model/{key}": value for key, value in report["model"].items()}
    found |= {f"data/{key}": value for key, value in report["data"]["settings"].items()}
    found |= {f"trainer/{key}": getattr(trainer, key) for key in OF_TRAINER}
    found |= {"trainer/devices": trainer.num_devices, "trainer/epochs": report["training"]["epochs"]}
    found["model/trainable_parameters"] = report["training"]["trainable_parameters"]
    dropouts = [one.p for one in model.built.encoder.modules() if isinstance(one, torch.nn.Dropout)]
    found["model/dropout"] = max(dropouts, default=0.0)
    for group in trainer.optimizers[0].param_groups if trainer.optimizers else ():
        part = group.get("name", "").split("/")[0]
        found[RATES.get(part, f"model/learning_rate_{part}")] = group["initial_lr"]
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> int | float | str:
    if isinstance(value, bool):
        return str(value).lower()  # as a number it would be 0 or 1
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and Path(value).exists():
        return Path(os.path.normpath(value)).as_posix()  # a folder has one spelling
    return shown(str(value), CHARACTERS)


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
