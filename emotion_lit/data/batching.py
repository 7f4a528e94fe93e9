"""Batches of texts of similar length within a token budget."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DistributedSampler

from emotion_lit.data.shapes import pack_full
from emotion_lit.utils import distributed

# A batch of texts by these keys, of which each use has some:
# - what the network reads: `input_ids` [rows, tokens] and, if texts are padded, `attention_mask` [rows, tokens]; also
#   `states` [rows, tokens, hidden], if frozen lower layers have been run; or only `features` [rows, features], if a
#   frozen encoder has been run
# - for training and evaluation: `targets` [rows, classes], `label` [rows], the first class, and `row` [rows], the row
#   numbers, all tensors; `tokens`, the number of tokens without padding
# - for prediction: `window`, the `Window` of the texts; `places` and `notes`, lists of the place of each text in it and
#   of what there is to say about it; `row`, a list of row numbers
Batch = dict[str, Any]
GOLDEN_RATIO = (5**0.5 - 1) / 2


def pack(lengths: npt.NDArray[np.int64], tokens_per_batch: int) -> list[npt.NDArray[np.int64]]:
    """Packs rows of ascending length into batches that stay within a token budget, padding included.

    Args:
        lengths: Tokens per row, ascending.
        tokens_per_batch: The budget; a longer row is a batch of its own.

    Returns:
        The indices of each batch's rows.
    """
    batches, start = [], 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or lengths[end] * (end + 1 - start) > tokens_per_batch:
            batches.append(np.arange(start, end))
            start = end
    return batches


class BatchSampler(DistributedSampler[list[int]]):
    """Batches of row indices: every row once per epoch, on one rank; all ranks have the same number of batches.

    It distributes the rows itself. Lightning does not replace it, because it is a `DistributedSampler`.

    Rows are sorted by length, with ties in random order, and packed. Then the batches are shuffled and dealt out, a
    step to `world_size` ranks at a time. The remaining rows are divided between the ranks in the last step. The sizes
    of batches depend only on the lengths, so the number of batches is known before the first epoch.

    With shapes that recur, a rank sees the same few shapes in every epoch: batches have as many rows as the budget
    allows, and those of the last step, which are divided anew, are the same ones.

    Args:
        lengths: Tokens per row, rounded up to the lengths of batches, ``[rows]``.
        tokens_per_batch: The token budget of a batch, padding included.
        batch_size: A fixed number of rows per batch instead, without regard to length.
        shuffle: Whether to shuffle the batches; without it they are in order of length, for evaluation.
        seed: The seed of the order, together with the epoch.
        rank: The number of this process; by default it is looked up at the start of an epoch.
        world_size: The number of processes, by default looked up too; with fewer rows, each process has all rows.
        spread: Whether the first batches, however many, have texts of all lengths, for a limited evaluation.
        recurs: Whether the shapes of batches recur.

    Attributes:
        plan: The rows of each step of the current epoch, by rank.
        repeats: Whether every epoch has the same batches.
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
        recurs: bool = False,
    ) -> None:
        super().__init__(lengths, num_replicas=1, rank=0, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.lengths = lengths
        self.tokens_per_batch = tokens_per_batch
        self.batch_size = batch_size
        self._share = None if rank is None or world_size is None else (rank, world_size)
        self.spread = spread
        self.recurs = recurs
        self._place: Callable[[], int] = _beginning
        self.plan: list[list[npt.NDArray[np.int64]]] = []
        self.repeats = False

    @property
    def rank_and_size(self) -> tuple[int, int]:
        """The rank of this process, and the number of processes that share the rows."""
        rank, size = self._share or (distributed.rank(), distributed.world_size())
        return (rank, size) if len(self.lengths) >= size else (0, 1)

    def begin_at(self, place: Callable[[], int]) -> None:
        """Leaves out the batches of an epoch that a resumed run has had.

        Args:
            place: Returns their number; called when an epoch begins, not before.
        """
        self._place = place

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, from zero; Lightning calls this before every epoch."""
        self.epoch = 0 if self.repeats else epoch

    def __len__(self) -> int:
        size = self.rank_and_size[1]
        steps, left = divmod(len(self._packed), size)
        sizes = [len(batch) for batch in self._packed]
        # The remaining batches are the last step if they have a row for every rank, counting the largest batch to them.
        is_step = left > 0 and max(sizes) + (left - 1) * min(sizes) >= size
        return max(1, steps + is_step) if sizes else 0

    def __iter__(self) -> Iterator[list[int]]:
        self.plan, rank = self.steps(), self.rank_and_size[0]
        for step in self.plan[self._place() :]:
            yield step[rank].tolist()

    def steps(self) -> list[list[npt.NDArray[np.int64]]]:
        """The rows of each step of the epoch, by rank."""
        random = np.random.default_rng([self.seed, self.epoch])
        in_order = not (self.shuffle or self.spread)
        tie_break = np.arange(len(self.lengths)) if in_order else random.permutation(len(self.lengths))
        rows = tie_break if self.shuffle and self.batch_size else np.lexsort((tie_break, self.lengths))
        batches, size = self._packed, self.rank_and_size[1]
        last = (len(self) - 1) * size
        if not in_order:
            kept = len(batches) - last if self.recurs and size > 1 else 0  # for the last step
            count = len(batches) - kept
            places = random.permutation(count) if self.shuffle else spread_out(count, random.random())
            batches = [batches[kept + place] for place in places] + batches[:kept]
        if sum(map(len, batches[last:])) < size:
            largest = max(range(len(batches)), key=lambda place: len(batches[place]))
            batches = [*batches[:largest], *batches[largest + 1 :], batches[largest]]
        dealt = [batches[start : start + size] for start in range(0, last, size)]
        if batches:
            dealt.append(split_across_ranks(batches[last:], size))
        return [[rows[places] for places in step] for step in dealt]

    def weight(self, step: int, accumulated: int, steps: int) -> float:
        """The weight of the mean loss of this rank's batch, so that every row counts alike in an optimizer step.

        An optimizer step has batches of several ranks and several accumulated batches, with different numbers of rows.
        Lightning takes the mean over batches, of which there may be fewer at the end of an epoch.

        Args:
            step: The index of the batch in the current epoch.
            accumulated: The number of batches per rank in an optimizer step.
            steps: The number of batches per rank in the epoch.
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
            return (pack_full if self.recurs else pack)(np.sort(self.lengths), self.tokens_per_batch)
        return [np.arange(start, min(start + self.batch_size, rows)) for start in range(0, rows, self.batch_size)]


def shapes_of(batches: BatchSampler) -> Counter[tuple[int, int]]:
    """The shapes that this rank can get, ``(rows, tokens per row)``, with the number of batches in an epoch.

    Several ranks share the number. If the shapes recur, they are the same in every epoch.

    Args:
        batches: The batches.
    """
    *steps, last = batches.steps() or [[]]
    shares = [*(rows for step in steps for rows in step), *last[batches.rank_and_size[0] :][:1]]
    return Counter((len(rows), int(batches.lengths[rows].max())) for rows in shares)


def _beginning() -> int:
    return 0


def spread_out(count: int, offset: float) -> npt.NDArray[np.int64]:
    """A permutation of indices, whose first elements are spread evenly over all of them (a Kronecker sequence).

    Args:
        count: The number of indices.
        offset: The start of the sequence, from 0 to 1.
    """
    return np.argsort(np.argsort((offset + GOLDEN_RATIO * np.arange(count)) % 1))


def split_across_ranks(batches: Sequence[npt.NDArray[np.int64]], ranks: int) -> list[npt.NDArray[np.int64]]:
    """Makes one batch for each rank, by halving large batches or joining small ones.

    Args:
        batches: The batches, with at least one row for each rank.
        ranks: The number of ranks.
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
    """The number of tokens of a batch, padding included; without padding if it has features instead of tokens."""
    return int(batch["input_ids"].numel() if "input_ids" in batch else batch["tokens"])
