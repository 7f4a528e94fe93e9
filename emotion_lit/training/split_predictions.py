"""Runs a model over a split outside of Lightning's loops, on the Trainer's devices and in its precision."""

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from emotion_lit.evaluation.collector import PredictionCollector
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import no_gradient
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils.console import progress_bar
from emotion_lit.utils.memory import return_freed_memory

BATCH_SIZE = 32


def predict_split(
    trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str, title: str
) -> PredictionCollector:
    """Predicts the rows of a split; all processes share the work, and each gets all predictions.

    Args:
        trainer: The Trainer, whose devices and precision are used.
        model: The model.
        data: The data, set up.
        split: ``validation`` or ``test``.
        title: The title of the progress bar.
    """
    collected = PredictionCollector()
    was_training = model.training
    model.eval()
    rows = len(data.rows(split))
    with no_gradient(trainer.strategy), progress_bar(title, rows, enabled=trainer.is_global_zero) as bar:
        for batch in data.evaluation_dataloader(split, whole=True):
            on_device = trainer.strategy.batch_to_device(batch)
            with trainer.precision_plugin.val_step_context():
                probabilities = model.probabilities(model.memory_limit.run(model, on_device))
            collected.add(probabilities, batch)
            bar.update(min(len(batch["row"]) * trainer.world_size, rows - bar.n))
    model.train(was_training)
    return_freed_memory()  # the next step allocates other sizes
    return collected.gathered()


def embed_split(
    trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str, most: int
) -> tuple[Tensor, list[int]]:
    """The encoder's embeddings of some rows of a split, evenly spread over it.

    Args:
        trainer: The Trainer, whose device and precision are used.
        model: The model.
        data: The data, set up.
        split: ``validation`` or ``test``.
        most: The largest number of rows.

    Returns:
        The embeddings, ``[rows, width]``, and their row numbers.
    """
    dataset, rows = data.prepared(split), len(data.rows(split))
    chosen = np.linspace(0, rows - 1, min(most, rows)).astype(int)
    order = chosen[np.argsort(dataset.padded_lengths[chosen], kind="stable")]
    model.eval()
    with no_gradient(trainer.strategy), trainer.precision_plugin.val_step_context():
        parts = np.array_split(order, -(-len(order) // BATCH_SIZE))
        batches = (trainer.strategy.batch_to_device(dataset[part.tolist()]) for part in parts)
        embeddings = [model.embed(batch).float().cpu() for batch in batches]
    return torch.cat(embeddings), order.tolist()
