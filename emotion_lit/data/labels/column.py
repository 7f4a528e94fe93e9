"""Resolves a label column as a whole: separators, missing values, ids in texts, one-hot lists."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from emotion_lit.data.formats.csv_dialect import NAMES
from emotion_lit.data.labels.label_set import LabelError, LabelSettings, Lookup
from emotion_lit.data.labels.one_hot import is_one_hot
from emotion_lit.data.labels.parsing import LabelItem, ParsedLabel, is_missing
from emotion_lit.data.labels.separators import find_separator, split_labels
from emotion_lit.data.labels.spelling import normalize_name
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say
from emotion_lit.utils.names import shown

# An id as a text; pandas writes ids as decimal numbers in columns with missing values.
ID = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})(?:\.0*)?")
DECIMAL = re.compile(r"[+-]?[0-9]*[.,][0-9]+|" + ID.pattern)
# Python's missing value, which can also be the name of a class.
PYTHON_NONE = "None"
UNLABELED = -1

At = Callable[[int], str]


@dataclass(frozen=True)
class ParsedColumn:
    """The distinct values of a label column, parsed.

    Args:
        all: The parsed values.
        separator: The separator of several labels in a text, if there is one.
        places: The length of the one-hot lists, if the column has such lists.
    """

    all: list[ParsedLabel]
    separator: str | None = None
    places: int | None = None

    @property
    def items(self) -> set[LabelItem]:
        """All distinct names and ids."""
        return {item for label in self.all for item in label.items}


def resolve_column(parsed: Sequence[ParsedLabel], settings: LabelSettings, at: At) -> ParsedColumn:
    """Resolves what single values leave open.

    Args:
        parsed: The distinct values, each parsed by itself.
        settings: What is known about the labels.
        at: Returns the first place of a distinct value, for messages.

    Raises:
        UserError: The column is ambiguous, or its values are not labels.
    """
    names = settings.names or settings.stated
    lookup = Lookup(names) if names else None
    separated, separator = _separated(parsed, settings, lookup, at)
    found = _without_missing(separated, settings, lookup, at)
    _check_scores(found, lookup, at)
    places = _places(found, at)
    if places is None:
        if lookup is None:
            found = _typed(found)
            _check_kinds(found, at)
        return ParsedColumn(found, separator)
    size = len(names or ()) or places
    if size != places:
        raise UserError(
            f"{settings.column} has one-hot lists of length {places}, but there are {size} names; give as many in "
            "data.labels"
        )
    ones = [
        replace(one, items=tuple(place for place, mark in enumerate(_numbers(one) or ()) if mark == 1)) for one in found
    ]
    return ParsedColumn(ones, separator, places)


def as_id(item: LabelItem) -> int | None:
    """The id that a name or number means; None if it is not an id."""
    if isinstance(item, str):
        return int(item.partition(".")[0]) if ID.fullmatch(item) else None
    return None if isinstance(item, bool | float) else item


def _separated(
    parsed: Sequence[ParsedLabel], settings: LabelSettings, lookup: Lookup | None, at: At
) -> tuple[list[ParsedLabel], str | None]:
    texts = {code: str(label.items[0]) for code, label in enumerate(parsed) if label.form == "text"}

    def known(text: str) -> bool:
        if lookup is None:
            return False
        index = as_id(text)
        return lookup.find(text) is not None or (index is not None and 0 <= index < len(lookup.exact))

    separator = NAMES.get(settings.separator or "", settings.separator)
    if separator is None:
        try:
            separator = find_separator(
                list(texts.values()), known if lookup else None, settings.classes, settings.multi_label
            )
        except LabelError as error:
            place = at(next(code for code, text in texts.items() if text == error.value))
            raise UserError(f"{place}: {error}") from None
    if settings.separator and not any(settings.separator in text for text in texts.values()):
        say(f"data.label_separator {settings.separator!r} has no effect; no label of {settings.column} has it")
    if not separator:
        return list(parsed), None
    result = list(parsed)
    for code, text in texts.items():
        if separator in text and not (lookup and lookup.find(text) is not None):
            result[code] = ParsedLabel(tuple(split_labels(text, separator)), "list")
    return result, separator if any(separator in text for text in texts.values()) else None


def _without_missing(
    parsed: Sequence[ParsedLabel], settings: LabelSettings, lookup: Lookup | None, at: At
) -> list[ParsedLabel]:
    """Removes missing values: ``None``, and -1 in a column with a ``ClassLabel``."""
    stated = lookup is not None
    keeps_none = lookup.find(PYTHON_NONE) is not None if lookup else _none_is_a_name(parsed, at)

    def is_none(item: LabelItem) -> bool:
        if isinstance(item, str):
            if lookup and item in lookup.exact:
                return False
            return (item == PYTHON_NONE and not keeps_none) or is_missing(item)
        return stated and settings.stated is not None and not isinstance(item, bool) and item == UNLABELED

    result = []
    for label in parsed:
        kept = tuple(item for item in label.items if not is_none(item))
        missing = not kept and bool(label.items)
        result.append(replace(label, items=kept, form="missing" if missing else label.form))
    return result


def _none_is_a_name(parsed: Sequence[ParsedLabel], at: At) -> bool:
    """Whether ``None`` is a class, by another spelling of it, or by the capitalization of the other names."""
    names = {item for label in parsed for item in label.items if isinstance(item, str)}
    if PYTHON_NONE not in names:
        return False
    others = [name for name in names if name != PYTHON_NONE]
    if any(normalize_name(name) == normalize_name(PYTHON_NONE) for name in others):
        return True
    capitalized = sum(name[:1].isupper() and not name.isupper() for name in others)
    if 2 * capitalized <= len(others):
        return False
    place = at(next(code for code, label in enumerate(parsed) if PYTHON_NONE in label.items))
    raise UserError(
        f"{place}: the label 'None' may be a class, or a missing value: name the classes with data.labels, and None "
        "among them if it is one"
    )


def _typed(parsed: Sequence[ParsedLabel]) -> list[ParsedLabel]:
    """Turns texts into ids if all of them are ids, and booleans into names."""
    texts = {item for label in parsed for item in label.items if isinstance(item, str)}
    ids = {text: index for text in texts if (index := as_id(text)) is not None}
    truths = {normalize_name(text) for text in texts} <= {"true", "false"}

    def typed(item: LabelItem) -> LabelItem:
        if isinstance(item, bool) or (truths and isinstance(item, str)):
            return str(item).casefold()
        return ids[item] if isinstance(item, str) and len(ids) == len(texts) else item

    return [replace(label, items=tuple(map(typed, label.items))) for label in parsed]


def _check_kinds(parsed: Sequence[ParsedLabel], at: At) -> None:
    """Raises `UserError` if there are both ids and names."""
    first: dict[str, tuple[LabelItem, int]] = {}
    for code, label in enumerate(parsed):
        for item in label.items:
            first.setdefault("a name" if isinstance(item, str) else "an id", (item, code))
    if len(first) > 1:
        kinds = " and ".join(f"{kind} ({shown(str(item))!r}, {at(code)})" for kind, (item, code) in first.items())
        raise UserError(f"labels should be all ids or all names, not {kinds}; correct them, or set data.labels")


def _check_scores(parsed: Sequence[ParsedLabel], lookup: Lookup | None, at: At) -> None:
    """Raises `UserError` if there are decimal numbers, as numbers or as texts."""
    texts = {item for label in parsed for item in label.items if isinstance(item, str)}
    all_numbers = lookup is None and all(map(DECIMAL.fullmatch, texts))
    for code, label in enumerate(parsed):
        for item in label.items:
            if lookup and lookup.find(str(item)) is not None:
                continue
            if isinstance(item, float) and label.form == "list":
                raise UserError(
                    f"{at(code)}: the label is a list of decimal numbers such as {item:g}, like probabilities or "
                    "votes; write names or ids instead, such as the largest, or those of at least 0.5"
                )
            if isinstance(item, float) or (all_numbers and isinstance(item, str) and as_id(item) is None):
                raise UserError(
                    f"{at(code)}: the label {item} is a decimal number, not a class; write names or ids, such as "
                    "negative and positive below and above a threshold"
                )


def _numbers(label: ParsedLabel) -> list[int] | None:
    """A list of ids as numbers; None if it has other items."""
    numbers = [int(item) if isinstance(item, bool) else as_id(item) for item in label.items]
    return None if None in numbers else numbers  # type: ignore[return-value]


def _places(parsed: Sequence[ParsedLabel], at: At) -> int | None:
    """The length of the lists, if the column has one-hot lists."""
    lists = [_numbers(label) for label in parsed if label.items]
    whole = [numbers for numbers in lists if numbers is not None]
    if not whole or len(whole) < len(lists) or any(one.form != "list" for one in parsed if one.items):
        return None
    try:
        return len(whole[0]) if is_one_hot(whole) else None
    except LabelError as error:
        raise UserError(f"{at(next(code for code, one in enumerate(parsed) if one.items))}: {error}") from None
