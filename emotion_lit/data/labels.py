"""Labels: names, ids, and the targets that a loss and a metric need."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_lit.errors import UserError, unknown
from emotion_lit.names import listed

Labels = tuple[int, ...]
# An id, or a list of ids, as they stand in a CSV file.
IDS = re.compile(r"(0|-?[1-9][0-9]*)|\[[-0-9, ]*\]")


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task, in the order of their ids.

    Args:
        names: The names; the id of a class is its place.
    """

    names: tuple[str, ...]

    def id(self, name: str) -> int:
        """The id of a class.

        Args:
            name: Its name, in any case.

        Raises:
            UserError: There is no such class.
        """
        index = Lookup(self.names).find(name)
        if index is None:
            raise unknown("label", name, self.names)
        return index

    def targets(self, rows: Sequence[Labels], multi_label: bool) -> npt.NDArray[np.float32]:
        """What the loss is computed against.

        Args:
            rows: The class ids of each row.
            multi_label: False spreads the probability evenly over a row's classes; true sets each of them to one.

        Returns:
            ``[rows, classes]``.
        """
        targets = np.zeros((len(rows), len(self.names)), dtype=np.float32)
        for row, ids in enumerate(rows):
            for index in ids:
                targets[row, index] = 1.0 if multi_label else 1.0 / len(ids)
        return targets


class Lookup:
    """Finds classes by their names: exactly, or in another case where that is one class only.

    Args:
        names: The names in the order of the ids.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name: index for index, name in enumerate(names)}
        counts = Counter(name.strip().casefold() for name in names)
        folded = ((name.strip().casefold(), index) for index, name in enumerate(names))
        self._folded = {name: index for name, index in folded if counts[name] == 1}

    def find(self, name: str) -> int | None:
        """The id of a class, if it is one.

        Args:
            name: Its name.
        """
        found = self._exact.get(name)
        return self._folded.get(name.strip().casefold()) if found is None else found


def check_names(names: Sequence[Any]) -> None:
    """Checks that each class has a name of its own that can be written.

    Args:
        names: The names.

    Raises:
        UserError: One has not.
    """
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"the label {name!r} is not a string; put quotes around it")
        if not name.strip():
            raise UserError(f"a label is {name!r}, which nobody can see; give it a name")
        if not _is_text(name):
            raise UserError(f"the label {name!a} holds half a character or a NUL, which no file can keep; mend it")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"a label is named twice: {listed(twice)}")


def _is_text(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def typed(values: Sequence[Any]) -> Sequence[Any]:
    """The labels of a CSV file, which has no types: ids where all of them look like ids or lists of these.

    Args:
        values: A text for each row.
    """
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if not texts or not all(IDS.fullmatch(text) for text in texts):
        return values
    return [json.loads(value) if isinstance(value, str) and value.strip() else value for value in values]


@dataclass(frozen=True)
class LabelColumn:
    """A label column as it was read.

    Args:
        values: Per row an int, a string, or a list of these.
        texts: The column of names beside it (``labels_str``), where there is one.
        where: The split it belongs to, for messages.
    """

    values: Sequence[Any]
    texts: Sequence[Any] | None
    where: str


def encode(
    columns: Sequence[LabelColumn], names: Sequence[str] | None, allow_none: bool
) -> tuple[LabelSet, list[list[Labels]]]:
    """Finds the classes of a data set and turns its label columns into ids.

    Args:
        columns: One column a split.
        names: The classes in the order of their ids, where they are known; else they come from the columns: the names
            beside the ids, the strings themselves in alphabetical order, or else the ids as text.
        allow_none: Whether a row may have no class at all (as multi-label data may).

    Raises:
        UserError: An id is out of range, a name is unknown, ids and names contradict each other, or a row has no label.
    """
    listed = [[_as_list(value, column.where, row) for row, value in enumerate(column.values, 1)] for column in columns]
    label_set = LabelSet(tuple(names)) if names else _find_names(columns, listed)
    check_names(label_set.names)
    known = Lookup(label_set.names)
    encoded = []
    for column, rows in zip(columns, listed, strict=True):
        ids = [_ids(values, label_set, known, f"{column.where}, row {row}") for row, values in enumerate(rows, 1)]
        if not allow_none:
            _require_labels(ids, column.where)
        _check_against_texts(ids, column, label_set)
        encoded.append(ids)
    return label_set, encoded


def _as_list(value: Any, where: str, row: int) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                return list(json.loads(text))
            except ValueError as error:
                raise UserError(f"{where}, row {row}: the label {value!r} is neither a name nor a JSON list") from error
        return [text] if text else []
    if value is None:
        return []
    if isinstance(value, list | tuple | np.ndarray):
        return list(value)
    if isinstance(value, float) and value.is_integer():
        return [int(value)]
    return [value]


def _find_names(columns: Sequence[LabelColumn], listed: list[list[list[Any]]]) -> LabelSet:
    values = {value for rows in listed for row in rows for value in row}
    if not values:
        raise UserError("the label column is empty in every row")
    if all(isinstance(value, str) for value in values):
        return LabelSet(tuple(sorted(values)))
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        kinds = sorted({type(value).__name__ for value in values})
        raise UserError(f"labels should be all ints or all strings, not {' and '.join(kinds)}")
    pairs: Counter[tuple[int, str]] = Counter()
    for column, rows in zip(columns, listed, strict=True):
        for ids, texts in zip(rows, column.texts or (), strict=False):
            pairs.update(zip(ids, _as_list(texts, column.where, 0), strict=False))
    found: dict[int, str] = {}
    for (index, name), _ in pairs.most_common():  # a wrong pair is rarer than the right one, and is reported later
        found.setdefault(index, str(name))
    size = max(values) + 1
    if size > max(1000, 10 * len(values)):  # a number of something else
        raise UserError(f"label id {max(values)} is too large for a class; name the classes with data.labels")
    return LabelSet(tuple(found.get(index, str(index)) for index in range(size)))


def _ids(values: list[Any], label_set: LabelSet, known: Lookup, where: str) -> Labels:
    ids = []
    for value in values:
        if isinstance(value, str):
            index = known.find(value)
            if index is None and value.isascii() and value.isdigit():  # an id that is a text
                index = int(value) if int(value) < len(label_set.names) else None
            if index is None:
                raise UserError(f"{where}: {unknown('label', value, label_set.names)}")
        else:
            index = value
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(label_set.names):
                raise UserError(
                    f"{where}: label id {value!r} is out of range; there are {len(label_set.names)} classes"
                )
        if index not in ids:
            ids.append(index)
    return tuple(ids)


def _require_labels(ids: list[Labels], where: str) -> None:
    empty = [row for row, labels in enumerate(ids, 1) if not labels]
    if empty:
        raise UserError(
            f"{len(empty):,} rows of {where} have no label, the first is row {empty[0]}; "
            "remove them, or set data.multi_label to true if no label is meant"
        )


def _check_against_texts(ids: list[Labels], column: LabelColumn, label_set: LabelSet) -> None:
    for row, (labels, texts) in enumerate(zip(ids, column.texts or (), strict=False), 1):
        names = [label_set.names[index] for index in labels]
        stated = list(dict.fromkeys(str(text).strip() for text in _as_list(texts, column.where, row)))
        if [name.casefold() for name in names] != [text.casefold() for text in stated]:
            raise UserError(
                f"{column.where}, row {row}: the labels are {names}, but the names beside them say {stated}; "
                "mend the data, or give the names in the order of the ids with data.labels"
            )
