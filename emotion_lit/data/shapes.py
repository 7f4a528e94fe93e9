"""Shapes of batches that recur: a few lengths, and for each of them as many rows as a token budget allows.

A GPU does extra work for every new shape: captured graphs, plans of attention, blocks of memory. On a CPU, where the
kernels of many shapes can be kept (see `memory.limit_kernel_cache`), it does not pay.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Lengths = npt.NDArray[np.int64]

# With the batch of the remaining rows, the shapes of a split.
MOST_LENGTHS = 23
# The share of padding up to which fewer lengths are better: each shape then recurs more often.
PADDING = 0.07
# Different lengths that are told apart; the time of the search grows with its square.
MOST_DISTINCT = 512


def batch_lengths(
    lengths: Lengths, tokens_per_batch: int, most: int = MOST_LENGTHS, padding: float = PADDING
) -> tuple[int, ...]:
    """The lengths to which batches are padded: as few as a share of padding allows, and those with the least padding.

    Args:
        lengths: Tokens per row, ``[rows]``.
        tokens_per_batch: The token budget of a batch.
        most: The largest number of lengths.
        padding: The share of padding that is allowed, if so many lengths can keep to it.

    Returns:
        The lengths, ascending; the last one is that of the longest row.
    """
    steps: tuple[int, ...] = ()
    for steps in divisions(lengths, most):
        if padding_share(lengths, round_up(lengths, steps), tokens_per_batch) <= padding:
            break
    return steps


def divisions(lengths: Lengths, most: int) -> Iterator[tuple[int, ...]]:
    """The best lengths of batches, by their number.

    Lengths divide the sorted rows into groups, each padded to its longest row. The division with the least padding is
    found exactly, by dynamic programming over the different lengths.

    Args:
        lengths: Tokens per row, ``[rows]``.
        most: The largest number.

    Yields:
        The lengths, ascending: first one, then two, and so on.
    """
    if not len(lengths):
        return
    step = -(-int(lengths.max()) // MOST_DISTINCT)
    distinct, counts = np.unique(np.minimum(-(-lengths // step) * step, lengths.max()), return_counts=True)
    rows = np.concatenate([[0], np.cumsum(counts)])
    # The padded tokens of a group from one place in the sorted lengths (first axis) to another (second axis).
    group = np.concatenate([[0], distinct]) * (rows - rows[:, None])
    group = np.where(np.tri(len(rows), dtype=np.bool_), np.inf, group)
    best, starts = group[0], [np.zeros(len(rows), dtype=np.int64)]
    for number in range(1, min(most, len(distinct)) + 1):
        if number > 1:
            total = best[:, None] + group
            best = total.min(axis=0)
            starts.append(total.argmin(axis=0))
        place, chosen = len(distinct), []
        for start in reversed(starts):
            chosen.append(int(distinct[place - 1]))
            place = int(start[place])
        yield tuple(reversed(chosen))


def round_up(lengths: Lengths, steps: tuple[int, ...]) -> Lengths:
    """Rounds lengths up to the next one of a list.

    Args:
        lengths: Tokens per row, ``[rows]``.
        steps: The lengths of the list, ascending; longer rows, or all rows without a list, keep their length.
    """
    if not steps:
        return lengths
    places = np.searchsorted(steps, lengths)
    return np.where(places < len(steps), np.array([*steps, 0])[places], lengths)


def pack_full(lengths: Lengths, tokens_per_batch: int) -> list[npt.NDArray[np.int64]]:
    """Packs rows of ascending length into batches with as many rows as a token budget allows.

    The longest rows come first. A batch with room left takes the longest of the shorter rows, so that only the batch of
    the shortest rows may have fewer rows than others of its length.

    Args:
        lengths: Tokens per row, ascending, rounded up to the lengths of batches.
        tokens_per_batch: The budget; a longer row is a batch of its own.

    Returns:
        The indices of each batch's rows, from the shortest to the longest.
    """
    batches, end = [], len(lengths)
    while end:
        start = max(0, end - max(1, tokens_per_batch // int(lengths[end - 1])))
        batches.append(np.arange(start, end))
        end = start
    return batches[::-1]


def padding_share(lengths: Lengths, padded: Lengths, tokens_per_batch: int) -> float:
    """The share of padding in full batches of a split.

    Args:
        lengths: Tokens per row, ``[rows]``.
        padded: The same, rounded up to the lengths of batches.
        tokens_per_batch: The budget.
    """
    ascending = np.sort(padded)
    batches = pack_full(ascending, tokens_per_batch)
    return 1 - float(lengths.sum()) / max(1, sum(len(batch) * int(ascending[batch[-1]]) for batch in batches))
