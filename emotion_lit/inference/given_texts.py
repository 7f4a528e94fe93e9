"""Checks the texts that `Predictor` is called with."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from emotion_lit.data.texts import is_null
from emotion_lit.errors import UserError
from emotion_lit.utils.names import shown

# How to pass the texts of other objects, for messages.
FRAME, SERIES = 'model.frame(frame, "text")', "model.frame(series), or model(series.to_list())"


def one_or_many(given: Any) -> tuple[list[str], bool]:
    """The texts as a list, and whether a single text was given.

    Args:
        given: A text, or an iterable of texts; null (None, NaN, a null of pandas) is an empty text.

    Raises:
        UserError: It is something else.
    """
    if isinstance(given, str) or is_null(given):
        return [_text(given, "the text")], True
    if problem := _problem(given):
        raise UserError(f"{_named(given)} is not a text, nor a list of texts; {problem}")
    return [_text(text, f"text {place}") for place, text in enumerate(given)], False


def _problem(given: Any) -> str:
    """The advice for an object that is not a text but may contain texts; empty for an iterable of texts."""
    if isinstance(given, bytes | bytearray | memoryview):
        return 'decode it: model(given.decode("utf-8"))'
    if isinstance(given, PurePath):
        return "for a file write model(path.read_text().splitlines()), or use predict"
    if hasattr(given, "to_pylist") and not hasattr(given, "column_names") and not hasattr(given, "schema"):
        return "write model(array.to_pylist())"
    if any(hasattr(given, name) for name in ("collect_schema", "columns", "column_names")):
        return f"write {FRAME}"
    if hasattr(given, "to_frame"):
        return f"write {SERIES}"
    if isinstance(given, Mapping):
        return "write model(list(texts.values())), or of a record model(record['text'])"
    if isinstance(given, set | frozenset):
        return "it has no order; write model(sorted(texts))"
    if getattr(given, "ndim", 1) != 1:
        return f"it has {given.ndim} dimensions; write model(array.ravel())"
    if not isinstance(given, Iterable):
        return "write a string, or a list of strings"
    return ""


def _named(given: Any) -> str:
    kind = type(given)
    module = kind.__module__.partition(".")[0]
    name = kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if is_null(value):
        return ""
    raise UserError(f"{where} is {shown(repr(value))}, which is not a string but {_named(value)}; give texts alone")
