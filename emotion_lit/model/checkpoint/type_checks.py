"""Checks plain values against declared types."""

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Literal

from torch import Tensor

from emotion_lit.model.checkpoint.schema import LARGEST

LARGEST_INT = 2**63 - 1


class InvalidError(Exception):
    """Invalid content of a checkpoint; the message says what and where."""


def check_types(
    values: Any, kinds: Mapping[str, Any], where: str, needed: Collection[str] = (), others: bool = False
) -> None:
    """Checks settings against their types.

    Args:
        values: The settings.
        kinds: The type of each; a dict for a group of settings.
        where: The name of the group.
        needed: The required keys.
        others: Whether other keys, which are never read, are allowed.
    """
    name = f"{where}." if where else ""
    if not isinstance(values, dict):
        raise InvalidError(f"{where} is {shown_value(values)}")
    missing = next((key for key in needed if key not in values), None)
    if missing is not None:
        raise InvalidError(f"{name}{missing} is missing")
    for key, value in values.items():
        if key not in kinds:
            if others:
                continue
            raise InvalidError(f"{name}{shown_value(key)} is not a setting that a checkpoint may have")
        if isinstance(kinds[key], dict):
            check_types(value, kinds[key], f"{name}{key}")
        elif not is_of(value, kinds[key]) or _is_out_of_bounds(key, value):
            raise InvalidError(f"{name}{key} is {shown_value(value)}")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a plain value has a declared type. NaN is not a number, and a dataclass is a dict.

    Args:
        value: The value.
        kind: A type, as annotations have it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, one) for one in arguments)
    if origin is Literal:
        return type(value) in (str, int, bool) and value in arguments
    if origin in (list, dict):
        if not isinstance(value, origin):
            return False
        parts = [value] if origin is list else [value.keys(), value.values()]
        return all(is_of(one, part) for part, ones in zip(arguments, parts, strict=True) for one in ones)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return (
            isinstance(value, dict)
            and value.keys() <= hints.keys()
            and all(is_of(one, hints[key]) and not _is_out_of_bounds(key, one) for key, one in value.items())
        )
    if kind is float:
        return is_of(value, int) or (type(value) is float and not math.isnan(value))
    if kind is int:
        return type(value) is int and abs(value) <= LARGEST_INT
    return (
        kind is Any
        or (isinstance(kind, type) and type(value) is kind)
        or (kind is Tensor and isinstance(value, Tensor))
    )


def _is_out_of_bounds(key: str, value: Any) -> bool:
    return isinstance(value, int | float) and key in LARGEST and not 1 <= value <= LARGEST[key]


def shown_value(value: Any) -> str:
    """A value as an error message shows it: short, and in ASCII."""
    shown = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
