"""The unique values of long columns, like `pandas.factorize`: labels are few, and rows are many."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Values that are their own keys, in a column with one of these types and missing values.
SIMPLE = (str, int, bool)


class UniqueValues:
    """The unique values of several columns, which may be of any type.

    Attributes:
        values: The unique values, in order of appearance.
        counts: The number of rows with each value, ``[values]``.
        first: The indices of the column and row where each value occurs first.
        codes: For each column, the index of each row's value, ``[rows]``.
    """

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        places: dict[Hashable, int] = {}
        self.codes: list[npt.NDArray[np.int64]] = [
            np.array([places.setdefault(key, len(places)) for key in _keys(column)], dtype=np.int64)
            for column in columns
        ]
        self.counts = np.bincount(np.concatenate(self.codes or [np.zeros(0, np.int64)]), minlength=len(places))
        first: dict[int, tuple[int, int]] = {}
        for number, codes in enumerate(self.codes):
            for code, row in zip(*np.unique(codes, return_index=True), strict=True):
                first.setdefault(int(code), (number, int(row)))
        self.first = [first[code] for code in range(len(places))]
        self.values = [columns[number][row] for number, row in self.first]

    def __len__(self) -> int:
        return len(self.values)


def _keys(column: Sequence[Any]) -> Sequence[Hashable]:
    kinds = set(map(type, column)) - {type(None)}
    if len(kinds) <= 1 and kinds <= set(SIMPLE):
        return column
    return [_key(value) for value in column]


def _key(value: Any) -> Hashable:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    try:
        key: Hashable = tuple(value) if isinstance(value, list) else (type(value), value)
        hash(key)
    except TypeError:  # an object, or a list of objects
        return repr(value)
    return key
