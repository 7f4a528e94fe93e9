"""One-hot labels: a 0 or 1 for each class, as lists or as columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotion_lit.data.labels.label_set import LabelError
from emotion_lit.data.labels.unique_values import UniqueValues
from emotion_lit.errors import UserError
from emotion_lit.utils.names import shown

MARKS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "": 0, "none": 0, "nan": 0}


def one_hot_values(columns: Mapping[str, Sequence[Any]], names: Sequence[str] | None) -> list[Any]:
    """For each row, the list of classes whose column is 1; a `LabelError` if a column is neither 0 nor 1.

    Args:
        columns: The one-hot columns, one for each class.
        names: The names of the classes; None for the names of the columns.

    Raises:
        UserError: The number of names is not the number of columns.
    """
    if names is not None and len(names) != len(columns):
        raise UserError(
            f"data.labels has {len(names)} names, but data.label_columns has {len(columns)} columns; give as many"
        )
    marks, strange = [], {}
    for column, values in columns.items():
        distinct = UniqueValues([values])
        numbers = [MARKS.get(str(value).strip().casefold(), -1) for value in distinct.values]
        marks.append(np.array(numbers, dtype=np.int8)[distinct.codes[0]])
        for row in np.flatnonzero(marks[-1] < 0).tolist():
            value = shown(str(values[row]))
            strange[row] = LabelError(f"the column {shown(column)!r} has {value!r}, which is neither 0 nor 1")
    titles = list(columns if names is None else names)
    patterns, rows = np.unique(np.stack(marks, axis=1), axis=0, return_inverse=True)
    lists = [[titles[place] for place in np.flatnonzero(pattern == 1)] for pattern in patterns]
    found: list[Any] = [lists[row] for row in rows.reshape(-1).tolist()]
    for row, error in strange.items():
        found[row] = error
    return found


def is_one_hot(lists: Sequence[Sequence[float]]) -> bool:
    """Whether lists of numbers are one-hot lists, not lists of ids.

    Args:
        lists: The distinct lists of a column without other values.

    Raises:
        LabelError: That is unclear.
    """
    lengths = sorted({len(numbers) for numbers in lists})
    repeated = [numbers for numbers in lists if len(set(numbers)) < len(numbers)]
    ones = all(set(numbers) <= {0, 1} for numbers in lists)
    if lengths[-1] < 2 or not (repeated or (ones and lengths == [2])):
        return False
    example = shown(str(list(repeated[0] if repeated else lists[0])))
    if ones and len(lengths) > 1 and lengths[-1] > 2:
        raise LabelError(
            f"the labels look like one-hot lists, such as {example}, but have {lengths[0]} to "
            f"{lengths[-1]} items; give each the same length"
        )
    if len(lengths) == 1 and not ones:
        raise LabelError(
            f"the labels are lists of {lengths[0]} numbers, such as {example}: either votes for each class, or "
            "an id from each annotator; write names or ids instead, each once"
        )
    return ones and len(lengths) == 1
