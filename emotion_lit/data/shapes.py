"""Shapes of batches that recur: a few lengths, and for each of them as many rows as a token budget allows.

A GPU does extra work for every new shape: captured graphs, plans of attention, blocks of memory. On a CPU it does not
pay.
"""

import numpy as np
import numpy.typing as npt

Lengths = npt.NDArray[np.int64]

# With the batch of the remaining rows, the shapes of a split.
MOST_LENGTHS = 23
# Fewer lengths are enough if they add no more than this share of padding. Batches that mix two lengths add some, too.
PADDING_SHARE = 0.03
# Different lengths that are told apart; the time of the search grows with its square.
MOST_DISTINCT = 512


def batch_lengths(lengths: Lengths, most: int = MOST_LENGTHS, padding_share: float = PADDING_SHARE) -> tuple[int, ...]:
    """The lengths to which batches are padded: those with the least padding, and no more of them than needed.

    They divide the sorted rows into groups, each padded to its longest row. The best division is found exactly, by
    dynamic programming over the different lengths.

    Args:
        lengths: Tokens per row, ``[rows]``.
        most: The largest number of lengths.
        padding_share: The share of padding at which fewer lengths are enough.

    Returns:
        The lengths, ascending; the last one is that of the longest row.
    """
    if not len(lengths):
        return ()
    step = -(-int(lengths.max()) // MOST_DISTINCT)
    distinct, counts = np.unique(np.minimum(-(-lengths // step) * step, lengths.max()), return_counts=True)
    rows = np.concatenate([[0], np.cumsum(counts)])
    # The padded tokens of a group from one place in the sorted lengths (first axis) to another (second axis).
    group = np.concatenate([[0], distinct]) * (rows - rows[:, None])
    group = np.where(np.tri(len(rows), dtype=np.bool_), np.inf, group)
    enough = lengths.sum() / (1 - padding_share)
    best, starts = group[0], [np.zeros(len(rows), dtype=np.int64)]
    while len(starts) < min(most, len(distinct)) and best[-1] > enough:
        total = best[:, None] + group
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    place, chosen = len(distinct), []
    for start in reversed(starts):
        chosen.append(int(distinct[place - 1]))
        place = int(start[place])
    return tuple(reversed(chosen))


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
