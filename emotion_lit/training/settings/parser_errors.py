"""Turns error messages of jsonargparse into one line that a user can act on."""

import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_lit.training.settings.config_files import no_config

KEY = re.compile(r'^Parser key "(?P<key>[\w.]+)":\s*(?P<rest>.*)$', re.DOTALL)
# jsonargparse's messages about the path of a configuration.
MISSING = re.compile(r"File does not exist: '(?P<path>.*)'")
FOLDER = re.compile(r"Path is not a file: '(?P<path>.*)'")
GIVEN = re.compile(r"Given value: (?P<value>.*)$", re.MULTILINE)
GOT = re.compile(r"Got value: (?P<value>.*)$", re.MULTILINE)
# Lines that list what a value could have been otherwise.
OTHER_TYPES = re.compile(
    r"Expected a |Does not validate|Subtypes:|Errors:|Given value|^$|"
    r"Not a valid subclass|Subclass types expect|a class path \(|a dict with|Problem with given class_path|Got value"
)
# What Python says about a class_path or init_args of another type.
NOT_A_CLASS = re.compile(r"object has no attribute|is not iterable|is not subscriptable")
PROBLEM = re.compile(r"Problem with given class_path '(?P<name>[\w.]+)':(?P<rest>.*)", re.DOTALL)
CLASS = re.compile(r"class_path'?[:=] *'([\w.]+)'")
NO_CLASS = "there is no such class; give its name, or its path with dots"
EXAMPLES: dict[Any, str] = {str: "joy, anger", float: "0.5, 0.25", int: "1, 2"}
NAMES: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    list: "a list",
    dict: "a mapping of keys to values",
    Path: "a path",
}


def simplify_error(message: str, known: Mapping[str, Any]) -> str:
    """A message of jsonargparse's in one line, which says what a setting takes.

    Args:
        message: The message, of several lines.
        known: The types of the settings, by dotted key.
    """
    found = KEY.match(message.strip())
    if found and found["key"] == "config":
        return _about_configuration(found["rest"])
    if found is None or known.get(found["key"]) is None:
        return _one_line(message)
    given = GIVEN.search(found["rest"]) or GOT.search(found["rest"])
    if given is None:
        return _one_line(message)
    key, value, wanted = found["key"], given["value"].strip(), known[found["key"]]
    reasons = [line.strip(" -") for line in found["rest"].splitlines() if not OTHER_TYPES.search(line.strip(" -"))]
    if makes_objects(wanted):
        named = CLASS.search(value)
        why = "; ".join(dict.fromkeys(reasons)) or NO_CLASS
        if NOT_A_CLASS.search(why):
            why = "class_path should be the name of a class, and init_args a mapping of its arguments"
        return f"{key}: cannot make {named[1] if named else _short(value)}: {why}"
    return f"{key} is {_short(value)}; it should be {describe_type(wanted)}{_about_booleans(value, wanted)}"


def simplify_object_error(message: str) -> str | None:
    """One line for jsonargparse's message that an object cannot be created; None for other messages.

    Args:
        message: The message, of several lines.
    """
    problem = PROBLEM.search(message)
    if problem is None:
        return None
    reason = next((line.strip() for line in problem["rest"].splitlines() if line.strip()), "it refuses its arguments")
    return f"cannot make {problem['name']}: {reason}"


def describe_type(wanted: Any) -> str:
    """Describes the values that a setting takes.

    Args:
        wanted: Its type.
    """
    arguments = typing.get_args(wanted)
    origin = typing.get_origin(wanted)
    if origin is typing.Literal:
        return "one of " + ", ".join(dict.fromkeys(repr(one) for one in arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe_type(one) for one in arguments))
    if origin is list and arguments:
        return f"a list such as [{EXAMPLES.get(arguments[0], 'first, second')}]"
    return NAMES.get(origin or wanted, getattr(wanted, "__name__", str(wanted)))


def makes_objects(wanted: Any) -> bool:
    """Whether a setting takes objects of classes.

    Args:
        wanted: Its type.
    """
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is typing.Literal:
        return False
    if arguments:
        return any(makes_objects(one) for one in arguments)
    return isinstance(wanted, type) and wanted not in NAMES and wanted is not type(None)


def _about_configuration(message: str) -> str:
    if missing := MISSING.search(message):
        return no_config(missing["path"])
    if folder := FOLDER.search(message):
        return f"the configuration {folder['path']} is a folder; give a file, or a recipe such as quickstart"
    return f"the configuration cannot be read: {_one_line(message)}"


def _about_booleans(value: str, wanted: Any) -> str:
    """Advice to quote strings such as no, yes and 1, which YAML reads as booleans and numbers."""
    if EXAMPLES[str] not in describe_type(wanted) or not re.search(r"\b(True|False|\d)", value):
        return ""
    return ". Quote words that YAML takes for something else: ['no', 'yes'], ['1', '2']"


def _short(value: str) -> str:
    one = _one_line(value)
    return one if len(one) <= 120 else f"{one[:117]}..."


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines() if part.strip())
