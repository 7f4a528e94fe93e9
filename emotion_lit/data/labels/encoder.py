"""Encodes label columns: the classes of a dataset, and the class ids of each row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion_lit.data.labels.class_names import Classes, find_classes
from emotion_lit.data.labels.column import ParsedColumn, as_id, resolve_column
from emotion_lit.data.labels.label_set import LabelError, Labels, LabelSet, LabelSettings
from emotion_lit.data.labels.parsing import ParsedLabel, parse_label
from emotion_lit.data.labels.spelling import normalize_name
from emotion_lit.data.labels.unique_values import UniqueValues
from emotion_lit.data.settings import OnBadRow
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed

NO_LABEL = "no label"


@dataclass(frozen=True)
class LabelColumn:
    """A label column of a split.

    Args:
        values: A value for each row, in any form; a `LabelError` for a row without a valid value.
        texts: The column with the names of the ids (``labels_str``), if there is one.
        where: The split, for messages.
        place: Returns the place of a row by its index, for messages.
    """

    values: Sequence[Any]
    texts: Sequence[Any] | None
    where: str
    place: Callable[[int], str] | None = None

    def at(self, row: int) -> str:
        """The place of a row, by its index."""
        return f"{self.where}, row {row + 1}" if self.place is None else self.place(row)


@dataclass(frozen=True)
class Encoded:
    """Labels as ids.

    Args:
        label_set: The classes, and how they were read.
        rows: For each column, the class ids of each row.
        unusable: For each column, the indices of rows without a valid label, and the reasons.
    """

    label_set: LabelSet
    rows: list[list[Labels]]
    unusable: list[dict[int, str]]


def encode(columns: Sequence[LabelColumn], settings: LabelSettings, on_error: OnBadRow = "stop") -> Encoded:
    """Finds the classes of a dataset and turns its label columns into ids.

    Args:
        columns: The label column of each split.
        settings: What is known about the labels.
        on_error: ``stop`` at a row without a valid label, or ``skip`` it into `Encoded.unusable`.

    Raises:
        UserError: A column is ambiguous, a label is unknown, or a row has no label.
    """
    distinct = UniqueValues([column.values for column in columns])

    def at(code: int) -> str:
        number, row = distinct.first[code]
        return columns[number].at(row)

    known = frozenset(settings.names or settings.stated or ())
    parsed = resolve_column([parse_label(value, known) for value in distinct.values], settings, at)
    if not parsed.items and not known:
        for code, label in enumerate(parsed.all):
            if label.form == "bad":
                raise UserError(f"{at(code)}: the label {label.error}")
        raise UserError(f"{columns[0].where}: no row has a label in {settings.column}")
    names_column = _NamesColumn(columns, distinct, parsed.all)
    classes = find_classes(parsed, distinct.counts.tolist(), settings, names_column.names)
    ids, wrong = _ids(parsed.all, classes, settings.multi_label)
    unusable = [_rows_of(codes, wrong) for codes in distinct.codes]
    if on_error == "stop":
        for column, rows in zip(columns, unusable, strict=True):
            _refuse(column, rows)
    usable = [code not in wrong and label.form != "missing" for code, label in enumerate(parsed.all)]
    names_column.check(ids, classes.names, usable)
    if settings.multi_label:
        missing = {code: NO_LABEL for code, label in enumerate(parsed.all) if label.form == "missing"}
        for column, codes in zip(columns, distinct.codes, strict=True):
            _print_missing(column, _rows_of(codes, missing))
    labels = [[ids[code] for code in codes.tolist()] for codes in distinct.codes]
    return Encoded(LabelSet(classes.names, _origin(classes, parsed, ids, settings)), labels, unusable)


def _ids(parsed: Sequence[ParsedLabel], classes: Classes, allow_none: bool) -> tuple[list[Labels], dict[int, str]]:
    """The ids of each distinct value, and the errors of values without ids."""
    ids: list[Labels] = []
    wrong = {}
    for code, label in enumerate(parsed):
        found: Labels = ()
        try:
            found = tuple(dict.fromkeys(classes.find(item) for item in label.items))
        except LabelError as error:
            wrong[code] = str(error)
        if label.form == "bad":
            wrong[code] = f"the label {label.error}"
        elif not found and not allow_none:
            wrong.setdefault(code, NO_LABEL)
        ids.append(found)
    return ids, wrong


def _rows_of(codes: Any, of_code: Mapping[int, str]) -> dict[int, str]:
    """The errors of rows, from the errors of their distinct values."""
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
            f"{column.at(next(iter(unusable)))}; add labels, or leave them out with --data.on_error=skip"
        )


def _print_missing(column: LabelColumn, rows: Mapping[int, str]) -> None:
    if rows:
        say(
            f"note: {len(rows):,} of {len(column.values):,} rows of {column.where} have no label, the first is "
            f"{column.at(next(iter(rows)))}; with several labels per row, they count as rows without a class"
        )


def _origin(classes: Classes, parsed: ParsedColumn, ids: Sequence[Labels], settings: LabelSettings) -> str:
    """How the labels were read, in words."""
    numbered = bool(parsed.items) and all(as_id(item) is not None for item in parsed.items)
    named = settings.names or settings.stated or not all(as_id(name) is not None for name in classes.names)
    what = "names" if named or not numbered else f"ids ({listed(classes.names)})"
    parts = [f"{len(classes.names):,} {what} from {settings.column}"]
    if parsed.places is not None:
        parts.append(f"one-hot lists of length {parsed.places}")
        parts += [] if named else ["which data.labels can name"]
    elif named and numbered:
        parts.append("given by ids")
    parts += ["several per row"] if any(len(one) > 1 for one in ids) else []
    parts += [f"separated by {parsed.separator.strip() or 'spaces'}"] if parsed.separator else []
    return ", ".join(parts)


class _NamesColumn:
    """The column with the names of ids (``labels_str``). It names the classes, and is checked against the ids."""

    def __init__(self, columns: Sequence[LabelColumn], distinct: UniqueValues, parsed: Sequence[ParsedLabel]) -> None:
        self._columns = [(number, column) for number, column in enumerate(columns) if column.texts is not None]
        self._distinct = distinct
        self._texts = UniqueValues([column.texts or () for _, column in self._columns])
        self._names = [[str(item) for item in parse_label(value).items] for value in self._texts.values]
        counts: Counter[tuple[int, str]] = Counter()
        for pair, (count, _) in self._pairs().items():
            ids = (as_id(item) for item in parsed[pair[0]].items)
            for index, name in zip(ids, self._names[pair[1]], strict=False):
                if index is not None:
                    counts[index, name] += count
        self.names: dict[int, str] = {}
        for (index, name), _ in counts.most_common():  # a wrong pair is rarer than the right one, and is found later
            self.names.setdefault(index, name)

    def _pairs(self) -> dict[tuple[int, int], tuple[int, str]]:
        """By pair of distinct values of both columns: how many rows have it, and the place of the first."""
        found: dict[tuple[int, int], tuple[int, str]] = {}
        for (number, column), codes in zip(self._columns, self._texts.codes, strict=True):
            joined = self._distinct.codes[number] * len(self._texts) + codes
            for value, row, count in zip(*np.unique(joined, return_index=True, return_counts=True), strict=True):
                pair = divmod(int(value), len(self._texts))
                before, first = found.get(pair, (0, ""))
                found[pair] = before + int(count), first or column.at(int(row))
        return found

    def check(self, ids: Sequence[Labels], classes: Sequence[str], usable: Sequence[bool]) -> None:
        """Raises `UserError` for a row whose names are not those of its ids."""
        for (code, names_column), (_, place) in self._pairs().items():
            if not usable[code]:
                continue
            names, stated = [classes[index] for index in ids[code]], list(dict.fromkeys(self._names[names_column]))
            if [normalize_name(name) for name in names] != [normalize_name(name) for name in stated]:
                raise UserError(
                    f"{place}: the labels are {names}, but their names in the other column are {stated}; correct the "
                    "data, or give the names in the order of the ids with data.labels"
                )
