"""One value of a label column, of whatever form, as the names and ids in it."""

import math
import numbers
from collections.abc import Collection, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from emotion_lit.data.labels.annotation_tools import choices_of
from emotion_lit.data.labels.label_set import LabelError, trimmed
from emotion_lit.data.labels.list_literals import list_in_text
from emotion_lit.utils.names import shown

Atom = str | int | float
# Written for "no value" by pandas, R, spreadsheets and SQL. A class may really be named `none`, which is not here.
MISSING = frozenset({"", "nan", "-nan", "null", "n/a", "#n/a", "na", "#na", "<na>", "nat"})


@dataclass(frozen=True)
class Reading:
    """What a value says.

    Args:
        atoms: Names, ids, or numbers that are neither; none where there is no label.
        form: Whether it is one text, one number, a list of several, no value, or no label.
        error: Why it is no label.
    """

    atoms: tuple[Atom, ...]
    form: Literal["text", "number", "list", "missing", "bad"]
    error: str = ""


def read_value(value: Any, known: Collection[str] = ()) -> Reading:
    """Reads a value; what is no label is one of the forms.

    Args:
        value: A name, an id, a truth value, a list of these, a text that is such a list as JSON, pandas or numpy write
            it, or the object of an annotation tool.
        known: Names of classes, which are read as they are whatever they look like.
    """
    try:
        return _read(value, known)
    except LabelError as error:
        return Reading((), "bad", str(error))


def _read(value: Any, known: Collection[str]) -> Reading:
    if isinstance(value, LabelError):
        raise value
    value = as_plain(value)
    if isinstance(value, str):
        text = value.strip() if value in known else trimmed(value)
        if value in known or text in known:
            return Reading((value if value in known else text,), "text")
        inside = list_in_text(text) if text[:1] in ("[", "{", "(", "a") else None
        if inside is None:
            return _missing_or((text,), "text") if text[:1] != "[" else _not_a_list(value)
        value = inside
    if isinstance(value, dict):
        value = choices_of(value)
    if isinstance(value, list | tuple | set | frozenset):
        return Reading(tuple(_elements(value, known)), "list")
    return _missing_or((_atom(value),), "number") if value is not None else Reading((), "missing")


def as_plain(value: Any) -> Any:
    """A value of numpy, Arrow or pandas as one of Python; nothing for what these have for no value.

    Args:
        value: Anything.
    """
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
            raise LabelError("is bytes that are no UTF-8; write names or ids") from None
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < 2**63:
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def is_missing(text: str) -> bool:
    """Whether a text stands for no value.

    Args:
        text: The text, without blanks around it.
    """
    return text.casefold() in MISSING


def _missing_or(atoms: tuple[Atom, ...], form: Literal["text", "number"]) -> Reading:
    only = atoms[0]
    return Reading((), "missing") if isinstance(only, str) and is_missing(only) else Reading(atoms, form)


def _not_a_list(value: str) -> Reading:
    raise LabelError(f"{shown(value)!r} is neither a name nor a list as JSON, pandas or numpy write it")


def _elements(values: Collection[Any], known: Collection[str]) -> list[Atom]:
    atoms: list[Atom] = []
    if sum(isinstance(item, dict) and "score" in item for item in values) > 1:
        raise LabelError("is a list of scores for several labels; keep the label that counts")
    for item in sorted(values, key=repr) if isinstance(values, Set) else values:
        value = as_plain(item)
        if isinstance(value, dict):
            atoms += _elements(choices_of(value), known)
        elif isinstance(value, str):
            text = value if value in known else trimmed(value)
            atoms += [] if is_missing(text) and text not in known else [text]
        elif isinstance(value, list | tuple):
            raise LabelError("is a list in a list, as for parts of a text; write the names or ids of the whole text")
        elif value is not None:
            atoms.append(_atom(value))
    return atoms


def _atom(value: Any) -> Atom:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        number = float(value)
        if not math.isfinite(number):
            raise LabelError(f"{number} is no label; write a name or an id")
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    if isinstance(value, numbers.Integral):
        if abs(int(value)) >= 2**63:
            raise LabelError("is a number too large for a class; write a name or a smaller id")
        return int(value)
    raise LabelError(f"is of the type {type(value).__name__}, which is no label; write names or ids")
