"""Stratified, seeded samples of rows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emotion_lit.data.class_coverage import cover_classes
from emotion_lit.data.rows import Rows
from emotion_lit.data.sizes import Size, parse_size
from emotion_lit.errors import UserError


def row_count(size: Size, available: int, key: str) -> int:
    """The number of rows that a size means.

    Args:
        size: None for all, a whole number of rows, a share in (0, 1], or a percentage such as ``"2%"``.
        available: The number of rows that there are, which is the most that is returned.
        key: The configuration key, for messages.

    Raises:
        UserError: The size means no rows.
    """
    if size is None:
        return available
    found = parse_size(size, key)
    count = found if isinstance(found, int) else round(available * found)
    if count == 0:
        raise UserError(f"{key}: {size!r} of {available:,} rows is a sample of zero rows; ask for more")
    return min(count, available)


def stratified_sample(rows: Rows, size: int, seed: Sequence[int], leave: bool = False) -> list[int]:
    """Draws a stratified sample, which has every class if it is large enough.

    Rows are stratified by their first class. The rows per class are rounded by largest remainder, so that they add up
    to ``size``. With one seed, a larger sample contains the smaller one, class by class.

    Args:
        rows: The rows to draw from.
        size: The number of rows to draw.
        seed: The seed.
        leave: Whether the remaining rows need every class too. A class with a single row then is not in the sample.

    Returns:
        The indices of the rows, ascending.
    """
    if size >= len(rows):
        return list(range(len(rows)))
    first = np.array([ids[0] if ids else -1 for ids in rows.labels])
    classes, counts = np.unique(first, return_counts=True)
    order = np.empty(len(rows), dtype=np.int64)  # the rank of each row within its class
    chosen = np.zeros(len(rows), dtype=np.bool_)
    for name, quota in zip(classes, _largest_remainder(counts, size), strict=True):
        places = np.flatnonzero(first == name)
        shuffled = places[np.random.default_rng([*seed, int(name) + 1]).permutation(len(places))]
        order[shuffled] = np.arange(len(places))
        chosen[shuffled[:quota]] = True
    cover_classes(chosen, rows.labels, order, leave)
    return np.flatnonzero(chosen).tolist()


def _largest_remainder(counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    exact = counts * (size / counts.sum())
    quotas: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    remainder_first = np.argsort(quotas - exact, kind="stable")
    quotas[remainder_first[: size - quotas.sum()]] += 1
    return quotas
