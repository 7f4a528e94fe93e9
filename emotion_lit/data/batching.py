"""Token-budget batches of like length, and their padding."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from emotion_lit.data.tokenization import Tokens
from emotion_lit.model.features import TextOutputs

Batch = dict[str, Any]


def pack(lengths: npt.NDArray[np.int64], tokens_per_batch: int) -> list[npt.NDArray[np.int64]]:
    """Packs rows of ascending length into batches that stay within a token budget, padding included.

    Args:
        lengths: Tokens per row, ascending.
        tokens_per_batch: The budget; a row longer than that is a batch of its own.

    Returns:
        The places of each batch's rows.
    """
    batches, start = [], 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or lengths[end] * (end + 1 - start) > tokens_per_batch:
            batches.append(np.arange(start, end))
            start = end
    return batches


class BatchSampler(Sampler[list[int]]):
    """Batches of row numbers: every row once an epoch, and the same number of batches in every epoch and on every rank.

    Rows are ordered by length, rows of the same length at random, and packed; then the batches are shuffled. The
    bounds of the batches depend on the lengths alone, which is why their number is known before the first epoch.

    Args:
        lengths: Tokens per row.
        tokens_per_batch: The token budget of a batch, padding included.
        batch_size: A fixed number of rows a batch instead, drawn regardless of their length.
        shuffle: False keeps the batches in order of length, for evaluation.
        seed: Decides the order, together with the epoch.
        rank: This process.
        world_size: How many processes there are.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        tokens_per_batch: int,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths = lengths
        self.tokens_per_batch = tokens_per_batch
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.skip = 0  # batches of the next epoch that a resumed run has had

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch.

        Args:
            epoch: The epoch, from zero.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._bounds) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        tie_break = random.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        mixed = self.shuffle and self.batch_size
        order = tie_break if mixed else np.lexsort((tie_break, self.lengths))
        batches = self._bounds
        if self.shuffle:
            batches = [batches[index] for index in random.permutation(len(batches))]
        own = batches[self.rank :: self.world_size]
        skip, self.skip = self.skip, 0
        for places in own[skip:]:
            yield order[places].tolist()

    @cached_property
    def _bounds(self) -> list[npt.NDArray[np.int64]]:
        rows = len(self.lengths)
        if self.batch_size:
            batches = [
                np.arange(start, min(start + self.batch_size, rows)) for start in range(0, rows, self.batch_size)
            ]
        else:
            batches = pack(np.sort(self.lengths), self.tokens_per_batch)
        if rows < self.world_size:
            raise ValueError(f"{rows} rows cannot be shared among {self.world_size} processes")
        while len(batches) % self.world_size:  # every rank needs as many: halve the largest until they share out
            largest = max(range(len(batches)), key=lambda index: len(batches[index]))
            middle = len(batches[largest]) // 2
            batches[largest : largest + 1] = [batches[largest][:middle], batches[largest][middle:]]
        return batches


def pad(tokens: Tokens, rows: Sequence[int], pad_id: int, multiple: int = 1) -> Batch:
    """Pads rows to the longest of them.

    Args:
        tokens: The tokens.
        rows: Which rows.
        pad_id: The id of the padding token.
        multiple: The length of the batch is rounded up to a multiple of so many tokens.

    Returns:
        ``input_ids`` and ``attention_mask``, both ``[rows, longest]``, and ``tokens``, their number without padding.
        There is no mask where nothing is padded, because attention is faster without one.
    """
    lengths = tokens.lengths[rows]
    longest = -(-int(lengths.max()) // multiple) * multiple
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : lengths[place]] = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
    batch: Batch = {"input_ids": torch.from_numpy(ids), "tokens": int(lengths.sum())}
    if int(lengths.min()) < longest:
        batch["attention_mask"] = torch.from_numpy((np.arange(longest) < lengths[:, None]).astype(np.int64))
    return batch


def padded_tokens(batch: Batch) -> int:
    """Tokens of a batch, with padding; without, where it holds features.

    Args:
        batch: A batch of labelled texts.
    """
    return int(batch["input_ids"].numel() if "input_ids" in batch else batch["tokens"])


class LabelledTokens(Dataset[Batch]):
    """Tokenized rows with their targets; it is indexed by a whole batch at a time.

    Args:
        tokens: The tokens of the rows.
        targets: What the loss is computed against, ``[rows, classes]``.
        first: Each row's first class, ``[rows]``; -1 where it has none.
        pad_id: The id of the padding token.
        multiple: The length of a batch is rounded up to a multiple of so many tokens.

    Attributes:
        features: Outputs of a frozen encoder, one vector a text, to come in place of the tokens.
        states: Outputs of frozen lower layers, one vector a token, to come with the tokens.
    """

    def __init__(
        self,
        tokens: Tokens,
        targets: npt.NDArray[np.float32],
        first: npt.NDArray[np.int64],
        pad_id: int,
        multiple: int = 1,
    ) -> None:
        self.tokens = tokens
        self.targets = torch.from_numpy(targets)
        self.first = torch.from_numpy(first)
        self.pad_id = pad_id
        self.multiple = multiple
        self.features: TextOutputs | None = None
        self.states: TextOutputs | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def padded_lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per row, rounded up as the rows are padded."""
        return -(-self.tokens.lengths // self.multiple) * self.multiple

    def __getitem__(self, rows: list[int]) -> Batch:
        index = torch.tensor(rows)
        if self.features is None:
            batch = pad(self.tokens, rows, self.pad_id, self.multiple)
        else:
            batch = {"features": self.features[rows], "tokens": int(self.tokens.lengths[rows].sum())}
        if self.states is not None:
            states = self.states[rows]
            missing = batch["input_ids"].shape[1] - states.shape[1]  # where lengths are rounded up
            batch["states"] = torch.nn.functional.pad(states, (0, 0, 0, missing))
        return {**batch, "targets": self.targets[index], "label": self.first[index], "row": index}


class BatchLoader(DataLoader[Batch]):
    """A loader whose sampler yields whole batches, and that can go on inside an epoch; Lightning saves its state.

    Args:
        dataset: The rows.
        batches: The batches.
        num_workers: Processes that pad ahead.
        pin_memory: Whether batches go to a GPU of NVIDIA's.
    """

    def __init__(
        self, dataset: LabelledTokens, batches: BatchSampler, num_workers: int = 0, pin_memory: bool = False
    ) -> None:
        super().__init__(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
        )
        self._batches = batches
        self._had = 0

    def __iter__(self) -> Any:
        self._had = self._batches.skip
        for batch in super().__iter__():
            self._had += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch have been had; zero when it is over."""
        return {"batches": self._had % len(self._batches)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on from there.

        Args:
            state: What `state_dict` gave.
        """
        self._batches.skip = state["batches"]
