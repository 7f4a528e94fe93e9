"""Class coverage of samples: rows are swapped until every class with enough rows is in the sample."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from emotion_lit.data.labels.label_set import Labels

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def cover_classes(chosen: Bools, labels: Sequence[Labels], order: Ints, leave: bool) -> None:
    """Swaps rows into a sample for classes that are missing in it. A sample with every class does not change.

    A class stays out if another class would have to leave for it.

    Args:
        chosen: Whether each row is in the sample, ``[rows]``; changed in place.
        labels: The class ids of each row. A class counts twice, as the first class of a row and as any of its classes,
            because metrics can use either.
        order: The rank of each row, ``[rows]``; rows with low ranks are drawn first.
        leave: Whether the remaining rows need every class too; they come before the sample.
    """
    members, first = _members(labels)
    if leave:
        _fill(chosen, False, members, first, order, needed=1)
    _fill(chosen, True, members, first, order, needed=2 if leave else 1)


def _members(labels: Sequence[Labels]) -> tuple[csr_array, Ints]:
    """The groups of each row, ``[rows, groups]``, and the group of its first class, ``[rows]``."""
    sizes = np.fromiter(map(len, labels), np.int64, len(labels))
    every = np.fromiter(itertools.chain.from_iterable(labels), np.int64, int(sizes.sum()))
    classes = int(every.max(initial=-1)) + 1
    first = np.fromiter((ids[0] + 1 if ids else 0 for ids in labels), np.int64, len(labels))
    rows = np.arange(len(labels))
    places = np.concatenate([rows, np.repeat(rows, sizes)]), np.concatenate([first, every + classes + 1])
    return csr_array((np.ones(len(places[0]), np.int64), places), shape=(len(labels), 2 * classes + 1)), first


def _fill(chosen: Bools, side: bool, members: csr_array, first: Ints, order: Ints, needed: int) -> None:
    """Moves a row of each missing group to one side, in or out of the sample, if the other side has enough rows."""
    here, there = (np.asarray(members[chosen == inside].sum(axis=0)) for inside in (side, not side))
    columns = members.tocsc() if ((here == 0) & (there >= needed)).any() else None
    for group in np.argsort(here + there, kind="stable"):  # the rarest first
        if here[group] or there[group] < needed or columns is None:
            continue
        entering = columns.indices[columns.indptr[group] : columns.indptr[group + 1]]
        entering = entering[chosen[entering] != side]
        if needed > 1:  # no group loses its last row there
            entering = entering[members[entering] @ (there == 1) == 0]
        leaving = np.flatnonzero((chosen == side) & (members @ (here == 1) == 0))
        if not len(entering) or not len(leaving):
            continue
        enter = entering[np.argmin(order[entering])]
        leave = leaving[np.lexsort((order[leaving], here[first[leaving]]))[-1]]  # the last row of the most common class
        chosen[[enter, leave]] = [side, not side]
        moved = (members[[enter]] - members[[leave]]).toarray()[0]
        here, there = here + moved, there - moved
