"""The token budget of inference passes: on a GPU, batches that fill its memory."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import AUTO, CPU_TOKENS, EVALUATION_FACTOR, filling_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.streaming import TextStream
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.model.memory_limit import PROBE_TOKENS, fill_memory, tokens_that_fit
from emotion_lit.utils import device_memory, distributed


def evaluation_budget(trainer: pl.Trainer | None, dataset: TokenizedDataset, settings: DataSettings) -> int | None:
    """The token budget of inference batches. All processes call this, and get the same.

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
    if trainer is None or getattr(trainer.lightning_module, "network", None) is None:  # an export
        return
    with _inference(trainer) as compute:
        device, is_auto = trainer.strategy.root_device, settings.tokens_per_batch == AUTO
        fill_memory(stream.packing, compute, device, stream.max_length, is_auto)


def _tokens_that_fit(trainer: pl.Trainer, batch: Batch) -> int | None:
    with _inference(trainer) as compute:
        return tokens_that_fit(compute, trainer.strategy.batch_to_device(batch), trainer.strategy.root_device)


@contextlib.contextmanager
def _inference(trainer: pl.Trainer) -> Iterator[Callable[[Batch], Any]]:
    """The Trainer's model for inference batches, in its precision."""
    model = trainer.lightning_module
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            yield model
    finally:
        model.train(was_training)
