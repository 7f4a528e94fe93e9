"""The token budget of passes without gradient: on a GPU, batches that fill its memory."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import AUTO, CPU_TOKENS, EVALUATION_FACTOR, filling_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.shapes import Lengths
from emotion_lit.data.streaming import TextStream
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.model.memory_limit import tokens_that_fit
from emotion_lit.utils import device_memory, distributed, platforms

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
    if device_memory.free(trainer.strategy.root_device) is None:
        return None
    longest = int(dataset.padded_lengths.max())
    rows = np.argsort(dataset.padded_lengths, kind="stable")[-max(1, PROBE_TOKENS // longest) :]
    fits = _tokens_that_fit(trainer, dataset[rows.tolist()])
    shared = [number for number in distributed.all_gather(fits) if number is not None]
    if not shared:
        return None
    lengths = dataset.tokens.lengths
    return filling_budget(lengths, dataset.padded_lengths, min(shared), EVALUATION_FACTOR * CPU_TOKENS)


def use_shapes(trainer: pl.Trainer | None, stream: TextStream, settings: DataSettings) -> None:
    """Lets the shapes of a stream's batches recur where the device does extra work for new ones, and fills its memory.

    Args:
        trainer: The Trainer, whose model is measured.
        stream: The texts to label.
        settings: The size of the batches.
    """
    model: Any = None if trainer is None else trainer.lightning_module
    if trainer is None or getattr(model, "network", None) is None:  # an export
        return
    device, usual = trainer.strategy.root_device, stream.packing.tokens_per_batch
    if not platforms.prepares_shapes(device):
        return
    fits: int | None = None
    if settings.tokens_per_batch == AUTO and device_memory.free(device) is not None:
        ids = torch.ones(max(1, PROBE_TOKENS // stream.max_length), stream.max_length, dtype=torch.int64)
        fits = _tokens_that_fit(trainer, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})

    def choose(lengths: Lengths) -> int:
        return usual if fits is None else filling_budget(lengths, lengths, fits, usual)

    stream.packing.use_shapes(choose, stream.max_length)


def _tokens_that_fit(trainer: pl.Trainer, batch: Batch) -> int | None:
    model, probe = trainer.lightning_module, trainer.strategy.batch_to_device(batch)

    def compute(batch: Batch) -> None:
        model(batch)

    was_training = model.training
    model.eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        fits = tokens_that_fit(compute, probe, trainer.strategy.root_device)
    model.train(was_training)
    return fits
