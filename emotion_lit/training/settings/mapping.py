"""Settings from Python: a mapping, a configuration file or a recipe, with overrides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.training.settings.config_files import find_config, read_config
from emotion_lit.training.settings.parser import load_yaml


def nested_settings(
    settings: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Converts settings to a nested dictionary, as in a YAML configuration.

    Args:
        settings: A mapping, the path of a configuration, or the name of a recipe.
        overrides: Settings that override those. Lists and the settings of a class are replaced as a whole.

    Returns:
        A nested dictionary.

    Raises:
        UserError: There is no such configuration, a key is empty, or both a block and a value, or a value is a data
            frame.
    """
    if isinstance(settings, str) and not settings.strip():
        raise UserError("settings are empty; give a mapping, a path or the name of a recipe, such as quickstart")
    if isinstance(settings, str | Path):
        settings = load_yaml(read_config(str(find_config(settings))))
    merged: dict[str, Any] = {}
    for given in (settings, overrides or {}):
        if not isinstance(given, Mapping):
            raise UserError(f"settings are a mapping, a path or the name of a recipe, not {type(given).__name__}")
        _merge(merged, given)
    return merged


def _plain(key: str, value: Any) -> Any:
    """Numbers and arrays of numpy and torch as those of Python.

    Raises:
        UserError: It is a data frame.
    """
    if hasattr(value, "iloc") and not hasattr(value, "tolist"):
        raise UserError(f"{key} is a {type(value).__name__}; write it to a file, and give the path of the file")
    if isinstance(value, list | tuple):
        return [_plain(key, one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _merge(into: dict[str, Any], settings: Mapping[str, Any], block: str = "") -> None:
    """Adds settings; blocks are merged, and values are replaced. `data.dataset` is `dataset` in the block `data`."""
    for key, value in settings.items():
        first, _, rest = str(key).partition(".")
        name = f"{block}{first}"
        if not first or str(key).endswith("."):
            raise UserError(f"the name of a setting is {f'{block}{key}'!r}, which has an empty part; correct it")
        value = _plain(f"{block}{key}", value)
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping) and "class_path" not in inner:
            child = into.setdefault(first, {})
            if not isinstance(child, dict):
                if rest:
                    raise UserError(f"{name} is {child!r} and has no setting {rest}; leave one of them out")
                child = into[first] = {}
            _merge(child, inner, f"{name}.")
        else:
            into[first] = inner
