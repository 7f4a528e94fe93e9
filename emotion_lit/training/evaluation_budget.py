"""The token budget of passes without gradient: on a GPU, batches that fill its memory."""

import lightning.pytorch as pl
import numpy as np
import torch

from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import AUTO, CPU_TOKENS, EVALUATION_FACTOR, filling_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.model.memory_limit import tokens_that_fit
from emotion_lit.utils import device_memory, distributed

PROBE_TOKENS = 4096


def evaluation_budget(trainer: pl.Trainer | None, dataset: TokenizedDataset, settings: DataSettings) -> int | None:
    """The token budget of batches without gradient. All processes call this, and get the same.

    Args:
        trainer: The Trainer, whose model is measured.
        dataset: The rows.
        settings: The size of the batches.

    Returns:
        The budget; None for that of `loaders.evaluation_loader`, on a CPU or if the size of batches is set.
    """
    if trainer is None or settings.tokens_per_batch != AUTO or settings.batch_size or dataset.features is not None:
        return None
    model, device = trainer.lightning_module, trainer.strategy.root_device
    if device_memory.free(device) is None:
        return None
    longest = int(dataset.padded_lengths.max())
    rows = np.argsort(dataset.padded_lengths, kind="stable")[-max(1, PROBE_TOKENS // longest) :]
    probe = trainer.strategy.batch_to_device(dataset[rows.tolist()])

    def compute(batch: Batch) -> None:
        model(batch)

    was_training = model.training
    model.eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        fits = tokens_that_fit(compute, probe, device)
    model.train(was_training)
    shared = [number for number in distributed.all_gather(fits) if number is not None]
    if not shared:
        return None
    lengths = dataset.tokens.lengths
    return filling_budget(lengths, dataset.padded_lengths, min(shared), EVALUATION_FACTOR * CPU_TOKENS)
