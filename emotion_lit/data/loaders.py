"""Loaders of batches: for training, evaluation, prediction, and measurements of speed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, SequentialSampler
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch, BatchSampler
from emotion_lit.data.budgets import EVALUATION_FACTOR, training_budget
from emotion_lit.data.downloads import hub_folder
from emotion_lit.data.formats.files import record_files
from emotion_lit.data.packing import Packing
from emotion_lit.data.padding import Padding
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.shapes import batch_lengths
from emotion_lit.data.streaming import TextStream
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.errors import UserError
from emotion_lit.utils import distributed, platforms

CPU = torch.device("cpu")


class BatchLoader(DataLoader[Batch]):
    """A loader whose sampler yields whole batches.

    Args:
        dataset: The rows.
        batches: The batches.
        num_workers: Processes that pad batches in advance.
        pin_memory: Whether the batches are for a CUDA GPU.
        sampler: If it is sequential, every epoch has the same batches: Lightning sets it so to overfit.
        kwargs: Other arguments with which Lightning makes a loader again; they have no effect.
    """

    def __init__(
        self,
        dataset: TokenizedDataset,
        batches: BatchSampler,
        num_workers: int = 0,
        pin_memory: bool = False,
        sampler: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        batches.repeats = isinstance(sampler, SequentialSampler)
        super().__init__(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
        )
        self.batches = batches

    def __iter__(self) -> Any:
        # Lightning creates an iterator before it restores the position of a resumed run; workers would start at once.
        yield from super().__iter__()


def train_loader(dataset: TokenizedDataset, settings: DataSettings, device: torch.device = CPU) -> BatchLoader:
    """Shuffled batches for training.

    Args:
        dataset: The training rows.
        settings: The size and the seed of the batches.
        device: The device that computes.

    Raises:
        UserError: There are fewer rows than processes.
    """
    with distributed.fail_together():
        distributed.check_rows(len(dataset), "train")
    sampler = BatchSampler(
        dataset.padded_lengths,
        training_budget_of(dataset, settings, device.type),
        settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        recurs=bool(dataset.steps),
    )
    pin_memory = dataset.place(device, settings.num_workers)
    return BatchLoader(dataset, sampler, settings.num_workers, pin_memory)


def evaluation_loader(
    dataset: TokenizedDataset,
    settings: DataSettings,
    device: torch.device = CPU,
    spread: bool = False,
    share: tuple[int, int] | None = None,
    tokens_per_batch: int | None = None,
) -> BatchLoader:
    """Batches in order of length, shared out among the processes.

    Args:
        dataset: The rows.
        settings: The size and the seed of the batches.
        device: The device that computes.
        spread: Whether the first batches need texts of all lengths, because not all batches will be used.
        share: The number of this process, and of all processes, if not all processes of the run take part.
        tokens_per_batch: The token budget; by default a multiple of that of training.
    """
    rank, world_size = share or (None, None)
    sampler = BatchSampler(
        dataset.padded_lengths,
        tokens_per_batch or EVALUATION_FACTOR * training_budget(settings.tokens_per_batch),
        settings.batch_size,
        seed=settings.seed,
        rank=rank,
        world_size=world_size,
        spread=spread,
        recurs=bool(dataset.steps),
    )
    pin_memory = dataset.place(device, settings.num_workers)
    return BatchLoader(dataset, sampler, settings.num_workers, pin_memory)


def training_budget_of(dataset: TokenizedDataset, settings: DataSettings, device: str = "cpu") -> int:
    """The token budget of training.

    Args:
        dataset: The training rows.
        settings: The size of the batches.
        device: The device type.
    """
    return training_budget(settings.tokens_per_batch, device, int(dataset.tokens.offsets[-1]))


def share_lengths(datasets: Sequence[TokenizedDataset], settings: DataSettings, device: torch.device) -> None:
    """Lets the shapes of batches recur where a device does extra work for new ones; all splits have the same lengths.

    Args:
        datasets: The splits of a run, that of training first.
        settings: The size of the batches.
        device: The device that computes.
    """
    steps: tuple[int, ...] = ()
    if datasets and platforms.has_cost_per_shape(device):
        lengths = np.concatenate([dataset.rounded_lengths for dataset in datasets])
        steps = batch_lengths(lengths, training_budget_of(datasets[0], settings, device.type))
    for dataset in datasets:
        dataset.use_lengths(steps)


def measured_batches(dataset: TokenizedDataset, settings: DataSettings, count: int, device: str = "cpu") -> list[Batch]:
    """Training batches for a measurement of speed, from short texts to long ones.

    Args:
        dataset: The training rows.
        settings: The size of the batches.
        count: The number of batches.
        device: The device type.
    """
    budget, recurs = training_budget_of(dataset, settings, device), bool(dataset.steps)
    sampler = BatchSampler(dataset.padded_lengths, budget, settings.batch_size, rank=0, world_size=1, recurs=recurs)
    batches = list(sampler)
    return [dataset[batches[(2 * place + 1) * len(batches) // (2 * count)]] for place in range(count)]


def loader_state(
    datasets: Mapping[str, TokenizedDataset], settings: DataSettings, device: str = "cpu"
) -> dict[str, str]:
    """What the batches are made of. A resumed run compares it, and starts the epoch again if it has changed.

    Args:
        datasets: The rows by split.
        settings: The size and the seed of the batches.
        device: The device type.
    """
    train = datasets.get("train")
    tokens = settings.tokens_per_batch if train is None else training_budget_of(train, settings, device)
    batches: dict[str, Any] = {"tokens": tokens, "rows": settings.batch_size, "seed": settings.seed}
    if train is not None and train.steps:
        batches["lengths"] = train.steps
    return {**{split: dataset.fingerprint for split, dataset in datasets.items()}, "batches": json.dumps(batches)}


def prediction_packing(settings: DataSettings, tokenizer: PreTrainedTokenizerBase) -> Packing:
    """How the texts to label are packed into batches.

    Args:
        settings: The size of the batches.
        tokenizer: The backbone's tokenizer.
    """
    budget = EVALUATION_FACTOR * training_budget(settings.tokens_per_batch)
    return Packing(budget, Padding.of(tokenizer), settings.pad_to_multiple_of)


def prediction_stream(
    settings: DataSettings, tokenizer: PreTrainedTokenizerBase, pin_memory: bool = False
) -> TextStream:
    """The texts to label, as a stream.

    Args:
        settings: The files, their columns, and the size of the batches.
        tokenizer: The backbone's tokenizer.
        pin_memory: Whether the batches are for a CUDA GPU.

    Raises:
        UserError: There is nothing to read.
    """
    return TextStream(
        distributed.on_rank_zero(lambda: _prediction_files(settings.predict_path)),
        settings.text_column,
        settings.keep_columns,
        settings.id_column,
        tokenizer,
        settings.max_length,
        prediction_packing(settings, tokenizer),
        settings.on_error,
        settings.table_format,
        pin_memory,
    )


def prediction_loader(stream: TextStream) -> DataLoader[Batch]:
    """The batches of a stream as they are.

    Args:
        stream: The texts to label.
    """
    return DataLoader(stream, batch_size=None, collate_fn=_unchanged)


def _unchanged(batch: Any) -> Any:
    # By default, a DataLoader makes tensors of arrays, and Lightning then copies them to the device.
    return batch


def _prediction_files(path: str | None) -> list[str]:
    if path is None:
        raise UserError("predict needs a file to read; type --data.predict_path FILE, or - for stdin")
    return record_files(hub_folder(path))
