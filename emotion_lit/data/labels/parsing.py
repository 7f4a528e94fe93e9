"""Parses one value of a label column, in any form, into the names and ids in it."""

import math
import numbers
from collections.abc import Collection, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from emotion_lit.data.labels.annotation_tools import choices_of
from emotion_lit.data.labels.label_set import LabelError
from emotion_lit.data.labels.list_literals import list_in_text
from emotion_lit.data.labels.spelling import trimmed
from emotion_lit.utils.names import shown

LabelItem = str | int | float
# Missing values as pandas, R, spreadsheets and SQL write them; not `none`, which can be the name of a class.
MISSING = frozenset({"", "nan", "-nan", "null", "n/a", "#n/a", "na", "#na", "<na>", "nat"})


@dataclass(frozen=True)
class ParsedLabel:
    """A parsed value of a label column.

    Args:
        items: The names, ids or other numbers in it; empty without a label.
        form: A text, a number, a list of several labels, a missing value, or a value that is not a label.
        error: Why the value is not a label.
    """

    items: tuple[LabelItem, ...]
    form: Literal["text", "number", "list", "missing", "bad"]
    error: str = ""


def parse_label(value: Any, known: Collection[str] = ()) -> ParsedLabel:
    """Parses a value; a value that is not a label gives the form ``bad``.

    Args:
        value: A name, an id, a boolean, a list of these, a text with such a list as JSON, pandas or numpy write it, or
            the object of an annotation tool.
        known: Names of classes, which are never parsed further.
    """
    try:
        return _read(value, known)
    except LabelError as error:
        return ParsedLabel((), "bad", str(error))


def _read(value: Any, known: Collection[str]) -> ParsedLabel:
    if isinstance(value, LabelError):
        raise value
    value = as_plain(value)
    if isinstance(value, str):
        text = value.strip() if value in known else trimmed(value)
        if value in known or text in known:
            return ParsedLabel((value if value in known else text,), "text")
        inside = list_in_text(text) if text[:1] in ("[", "{", "(", "a") else None
        if inside is None:
            return _missing_or((text,), "text") if text[:1] != "[" else _not_a_list(value)
        value = inside
    if isinstance(value, dict):
        value = choices_of(value)
    if isinstance(value, list | tuple | set | frozenset):
        return ParsedLabel(tuple(_elements(value, known)), "list")
    return _missing_or((_item(value),), "number") if value is not None else ParsedLabel((), "missing")


def as_plain(value: Any) -> Any:
    """A value of numpy, Arrow or pandas as a Python object; None for their missing values."""
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "as_py"):
        value = value.as_py() if hasattr(value, "as_py") else value.tolist()
    if type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise LabelError("is bytes that are not UTF-8; write names or ids") from None
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < 2**63:
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def is_missing(text: str) -> bool:
    """Whether a text, without spaces around it, means a missing value."""
    return text.casefold() in MISSING


def _missing_or(items: tuple[LabelItem, ...], form: Literal["text", "number"]) -> ParsedLabel:
    only = items[0]
    return ParsedLabel((), "missing") if isinstance(only, str) and is_missing(only) else ParsedLabel(items, form)


def _not_a_list(value: str) -> ParsedLabel:
    raise LabelError(f"{shown(value)!r} is neither a name nor a list as JSON, pandas or numpy write it")


def _elements(values: Collection[Any], known: Collection[str]) -> list[LabelItem]:
    items: list[LabelItem] = []
    if sum(isinstance(item, dict) and "score" in item for item in values) > 1:
        raise LabelError("is a list of scores for several labels; keep the label that counts")
    for item in sorted(values, key=repr) if isinstance(values, Set) else values:
        value = as_plain(item)
        if isinstance(value, dict):
            items += _elements(choices_of(value), known)
        elif isinstance(value, str):
            text = value if value in known else trimmed(value)
            items += [] if is_missing(text) and text not in known else [text]
        elif isinstance(value, list | tuple):
            raise LabelError("is a nested list, as for parts of a text; write the names or ids of the whole text")
        elif value is not None:
            items.append(_item(value))
    return items


def _item(value: Any) -> LabelItem:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        number = float(value)
        if not math.isfinite(number):
            raise LabelError(f"{number} is not a label; write a name or an id")
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    if isinstance(value, numbers.Integral):
        if abs(int(value)) >= 2**63:
            raise LabelError("is a number too large for a class; write a name or a smaller id")
        return int(value)
    raise LabelError(f"is of the type {type(value).__name__}, which is not a label; write names or ids")
