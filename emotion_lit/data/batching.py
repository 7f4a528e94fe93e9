"""Token-budget batches of like length."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DistributedSampler

from emotion_lit.utils import distributed

Batch = dict[str, Any]
GOLDEN_RATIO = (5**0.5 - 1) / 2


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


class BatchSampler(DistributedSampler[list[int]]):
    """Batches of row numbers: every row once an epoch, on one of the ranks, which all have the same number of batches.

    It shares the rows out by itself; as a `DistributedSampler`, it is left alone by Lightning.

    Rows are ordered by length, rows of the same length at random, and packed; then the batches are shuffled, and dealt
    out: each `world_size` of them are one step. What is left for the last step is shared out row by row. The bounds of
    the batches depend on the lengths alone, which is why their number is known before the first epoch.

    Args:
        lengths: Tokens per row.
        tokens_per_batch: The token budget of a batch, padding included.
        batch_size: A fixed number of rows a batch instead, drawn regardless of their length.
        shuffle: False keeps the batches in order of length, for evaluation.
        seed: Decides the order, together with the epoch.
        rank: This process; by default it is found out when the epoch begins.
        world_size: How many processes there are, likewise; where there are fewer rows, each has all of them.
        spread: Whether the first batches, however many, are a fair part of all lengths, for an evaluation that is
            limited to them.

    Attributes:
        plan: The rows of each step of the epoch that is under way, by rank.
        repeats: Whether every epoch has the batches of the first.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        tokens_per_batch: int,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        spread: bool = False,
    ) -> None:
        super().__init__(lengths, num_replicas=1, rank=0, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.lengths = lengths
        self.tokens_per_batch = tokens_per_batch
        self.batch_size = batch_size
        self._share = None if rank is None or world_size is None else (rank, world_size)
        self.spread = spread
        # How many batches of the epoch a resumed run has had; asked when the epoch begins, and not before.
        self.place: Callable[[], int] = _beginning
        self.plan: list[list[npt.NDArray[np.int64]]] = []
        self.repeats = False

    @property
    def rank_and_size(self) -> tuple[int, int]:
        """Which process this is, of how many that share the rows."""
        rank, size = self._share or (distributed.rank(), distributed.world_size())
        return (rank, size) if len(self.lengths) >= size else (0, 1)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch.

        Args:
            epoch: The epoch, from zero.
        """
        self.epoch = 0 if self.repeats else epoch

    def __len__(self) -> int:
        size = self.rank_and_size[1]
        steps, left = divmod(len(self._packed), size)
        sizes = [len(batch) for batch in self._packed]
        # The batches that are left are the last step where their rows are enough for all ranks, the largest among them.
        is_step = left > 0 and max(sizes) + (left - 1) * min(sizes) >= size
        return max(1, steps + is_step) if sizes else 0

    def __iter__(self) -> Iterator[list[int]]:
        self.plan, rank = self.steps(), self.rank_and_size[0]
        for step in self.plan[self.place() :]:
            yield step[rank].tolist()

    def steps(self) -> list[list[npt.NDArray[np.int64]]]:
        """The rows of each step of the epoch, by rank."""
        random = np.random.default_rng([self.seed, self.epoch])
        in_order = not (self.shuffle or self.spread)
        tie_break = np.arange(len(self.lengths)) if in_order else random.permutation(len(self.lengths))
        rows = tie_break if self.shuffle and self.batch_size else np.lexsort((tie_break, self.lengths))
        batches = self._packed
        if not in_order:
            count = len(batches)
            places = random.permutation(count) if self.shuffle else spread_out(count, random.random())
            batches = [batches[place] for place in places]
        size = self.rank_and_size[1]
        last = (len(self) - 1) * size
        if sum(map(len, batches[last:])) < size:
            largest = max(range(len(batches)), key=lambda place: len(batches[place]))
            batches = [*batches[:largest], *batches[largest + 1 :], batches[largest]]
        dealt = [batches[start : start + size] for start in range(0, last, size)]
        if batches:
            dealt.append(share_out(batches[last:], size))
        return [[rows[places] for places in step] for step in dealt]

    def weight(self, step: int, accumulated: int, steps: int) -> float:
        """What the mean loss of this rank's batch counts for in an optimizer's step, where all rows count alike.

        An optimizer's step takes batches of several ranks and several accumulated ones, which differ in rows. Lightning
        takes the mean over batches, of which there may be fewer at the end of an epoch.

        Args:
            step: The place of the batch in the epoch that is under way.
            accumulated: How many batches of a rank are accumulated.
            steps: How many batches of a rank are used of the epoch.
        """
        rank, size = self.rank_and_size
        if accumulated * size == 1:
            return 1.0
        start = step // accumulated * accumulated
        dealt = self.plan[start : min(start + accumulated, steps)]
        rows = sum(len(batch) for batches in dealt for batch in batches)
        return accumulated * size * len(self.plan[step][rank]) / rows

    @cached_property
    def _packed(self) -> list[npt.NDArray[np.int64]]:
        rows = len(self.lengths)
        if not self.batch_size:
            return pack(np.sort(self.lengths), self.tokens_per_batch)
        return [np.arange(start, min(start + self.batch_size, rows)) for start in range(0, rows, self.batch_size)]


def _beginning() -> int:
    return 0


def spread_out(count: int, offset: float) -> npt.NDArray[np.int64]:
    """An order of places of which each beginning is spread evenly over all of them (a Kronecker sequence).

    Args:
        count: How many places there are.
        offset: Where it begins, from 0 to 1.
    """
    return np.argsort(np.argsort((offset + GOLDEN_RATIO * np.arange(count)) % 1))


def share_out(batches: Sequence[npt.NDArray[np.int64]], ranks: int) -> list[npt.NDArray[np.int64]]:
    """As many batches as there are ranks, made of batches of other number by halving large ones or joining small ones.

    Args:
        batches: The batches, with at least as many rows as there are ranks.
        ranks: How many to make.
    """
    parts = list(batches)
    while len(parts) < ranks:
        largest = max(range(len(parts)), key=lambda index: len(parts[index]))
        parts[largest : largest + 1] = np.array_split(parts[largest], 2)
    while len(parts) > ranks:
        parts.sort(key=len, reverse=True)
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


def padded_tokens(batch: Batch) -> int:
    """Tokens of a batch, with padding; without, where it holds features.

    Args:
        batch: A batch of labelled texts.
    """
    return int(batch["input_ids"].numel() if "input_ids" in batch else batch["tokens"])
