"""From the label columns of a data set to its classes, and to the ids of each row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from emotion_lit.data.labels.class_names import Classes, find_classes
from emotion_lit.data.labels.column import Readings, as_id, settle
from emotion_lit.data.labels.label_set import LabelError, Labels, LabelSet, LabelSettings, normalize_name
from emotion_lit.data.labels.unique_values import DistinctValues
from emotion_lit.data.labels.values import Reading, read_value
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed

NO_LABEL = "no label"


@dataclass(frozen=True)
class LabelColumn:
    """A label column as it was read.

    Args:
        values: A value for each row, of any form; a `LabelError` where none can be made.
        texts: The column of names beside it (``labels_str``), where there is one.
        where: The split it belongs to, for messages.
        place: Gives the place of a row, from zero, for messages.
    """

    values: Sequence[Any]
    texts: Sequence[Any] | None
    where: str
    place: Callable[[int], str] | None = None

    def at(self, row: int) -> str:
        """The place of a row.

        Args:
            row: Its number, from zero.
        """
        return f"{self.where}, row {row + 1}" if self.place is None else self.place(row)


@dataclass(frozen=True)
class Encoded:
    """Labels as ids.

    Args:
        label_set: The classes, and how they were read.
        rows: For each column the ids of each row.
        unusable: For each column the rows, from zero, whose label cannot be used, with the reason.
    """

    label_set: LabelSet
    rows: list[list[Labels]]
    unusable: list[dict[int, str]]


def encode(
    columns: Sequence[LabelColumn], settings: LabelSettings, on_error: Literal["stop", "skip"] = "stop"
) -> Encoded:
    """Finds the classes of a data set and turns its label columns into ids.

    Args:
        columns: One column a split.
        settings: What is known of them.
        on_error: ``stop`` at a row whose label cannot be used, or ``skip`` it into `Encoded.unusable`.

    Raises:
        UserError: A column may mean two things, a label is unknown, or a row has none.
    """
    distinct = DistinctValues([column.values for column in columns])

    def at(code: int) -> str:
        number, row = distinct.first[code]
        return columns[number].at(row)

    known = frozenset(settings.names or settings.stated or ())
    readings = settle([read_value(value, known) for value in distinct.values], settings, at)
    if not readings.atoms and not known:
        for code, reading in enumerate(readings.all):
            if reading.form == "bad":
                raise UserError(f"{at(code)}: the label {reading.error}")
        raise UserError(f"{columns[0].where}: no row has a label in {settings.column}")
    beside = _Beside(columns, distinct, readings.all)
    classes = find_classes(readings, distinct.counts.tolist(), settings, beside.names)
    ids, wrong = _ids(readings.all, classes, settings.multi_label)
    unusable = [_rows_of(codes, wrong) for codes in distinct.codes]
    if on_error == "stop":
        for column, rows in zip(columns, unusable, strict=True):
            _refuse(column, rows)
    usable = [code not in wrong and reading.form != "missing" for code, reading in enumerate(readings.all)]
    beside.check(ids, classes.names, usable)
    if settings.multi_label:
        missing = {code: NO_LABEL for code, reading in enumerate(readings.all) if reading.form == "missing"}
        for column, codes in zip(columns, distinct.codes, strict=True):
            _say_missing(column, _rows_of(codes, missing))
    labels = [[ids[code] for code in codes.tolist()] for codes in distinct.codes]
    return Encoded(LabelSet(classes.names, _origin(classes, readings, ids, settings)), labels, unusable)


def _ids(readings: Sequence[Reading], classes: Classes, allow_none: bool) -> tuple[list[Labels], dict[int, str]]:
    """The ids of each distinct value, and what is wrong with those that have none."""
    ids: list[Labels] = []
    wrong = {}
    for code, reading in enumerate(readings):
        found: Labels = ()
        try:
            found = tuple(dict.fromkeys(classes.find(atom) for atom in reading.atoms))
        except LabelError as error:
            wrong[code] = str(error)
        if reading.form == "bad":
            wrong[code] = f"the label {reading.error}"
        elif not found and not allow_none:
            wrong.setdefault(code, NO_LABEL)
        ids.append(found)
    return ids, wrong


def _rows_of(codes: Any, of_code: Mapping[int, str]) -> dict[int, str]:
    """What is said of distinct values, for each row that has one of them."""
    if not of_code:
        return {}
    rows = np.flatnonzero(np.isin(codes, list(of_code)))
    return {row: of_code[code] for row, code in zip(rows.tolist(), codes[rows].tolist(), strict=True)}


def _refuse(column: LabelColumn, unusable: Mapping[int, str]) -> None:
    for row, reason in unusable.items():
        if reason != NO_LABEL:
            others = len(unusable) - 1
            more = f" ({others:,} more rows of {column.where} cannot be used)" if others else ""
            raise UserError(f"{column.at(row)}: {reason}{more}")
    if unusable:
        raise UserError(
            f"{len(unusable):,} of {len(column.values):,} rows of {column.where} have no label, the first is "
            f"{column.at(next(iter(unusable)))}; fill them in, or leave them out with --data.on_error=skip"
        )


def _say_missing(column: LabelColumn, rows: Mapping[int, str]) -> None:
    if rows:
        say(
            f"note: {len(rows):,} of {len(column.values):,} rows of {column.where} have no label, the first is "
            f"{column.at(next(iter(rows)))}; with several labels per row they count as having none of the classes"
        )


def _origin(classes: Classes, readings: Readings, ids: Sequence[Labels], settings: LabelSettings) -> str:
    """What was understood, in words."""
    numbered = bool(readings.atoms) and all(as_id(atom) is not None for atom in readings.atoms)
    named = settings.names or settings.stated or not all(as_id(name) is not None for name in classes.names)
    what = "names" if named or not numbered else f"ids ({listed(classes.names)})"
    parts = [f"{len(classes.names):,} {what} from {settings.column}"]
    if readings.places is not None:
        parts.append(f"lists of 0 and 1 for {readings.places} places")
        parts += [] if named else ["which data.labels can name"]
    elif named and numbered:
        parts.append("given by ids")
    parts += ["several per row"] if any(len(one) > 1 for one in ids) else []
    parts += [f"separated by {readings.separator.strip() or 'blanks'}"] if readings.separator else []
    return ", ".join(parts)


class _Beside:
    """The column of names beside one of ids, which names them and is checked against them."""

    def __init__(self, columns: Sequence[LabelColumn], distinct: DistinctValues, readings: Sequence[Reading]) -> None:
        self._columns = [(number, column) for number, column in enumerate(columns) if column.texts is not None]
        self._distinct = distinct
        self._texts = DistinctValues([column.texts or () for _, column in self._columns])
        self._names = [[str(atom) for atom in read_value(value).atoms] for value in self._texts.values]
        counts: Counter[tuple[int, str]] = Counter()
        for pair, (count, _) in self._pairs().items():
            ids = (as_id(atom) for atom in readings[pair[0]].atoms)
            for index, name in zip(ids, self._names[pair[1]], strict=False):
                if index is not None:
                    counts[index, name] += count
        self.names: dict[int, str] = {}
        for (index, name), _ in counts.most_common():  # a wrong pair is rarer than the right one, and is found later
            self.names.setdefault(index, name)

    def _pairs(self) -> dict[tuple[int, int], tuple[int, str]]:
        """How often the distinct values of both columns stand in a row, and the first such."""
        found: dict[tuple[int, int], tuple[int, str]] = {}
        for (number, column), codes in zip(self._columns, self._texts.codes, strict=True):
            joined = self._distinct.codes[number] * len(self._texts) + codes
            for value, row, count in zip(*np.unique(joined, return_index=True, return_counts=True), strict=True):
                pair = divmod(int(value), len(self._texts))
                before, first = found.get(pair, (0, ""))
                found[pair] = before + int(count), first or column.at(int(row))
        return found

    def check(self, ids: Sequence[Labels], classes: Sequence[str], usable: Sequence[bool]) -> None:
        """Refuses names that are not those of the ids."""
        for (code, beside), (_, place) in self._pairs().items():
            if not usable[code]:
                continue
            names, stated = [classes[index] for index in ids[code]], list(dict.fromkeys(self._names[beside]))
            if [normalize_name(name) for name in names] != [normalize_name(name) for name in stated]:
                raise UserError(
                    f"{place}: the labels are {names}, but the names beside them say {stated}; mend the data, or give "
                    "the names in the order of the ids with data.labels"
                )
