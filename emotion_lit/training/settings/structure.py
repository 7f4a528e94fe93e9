"""Checks the blocks of settings in mappings and configurations; jsonargparse ignores some that are not blocks."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from emotion_lit.errors import UserError
from emotion_lit.training.settings.mapping import nested_settings


def check_structure(settings: Mapping[str, Any], known: Mapping[str, Any], block: str = "") -> None:
    """Checks that each block has settings, or is the path of a file with settings, and that no other setting is null.

    jsonargparse takes a null for any setting.

    Args:
        settings: Nested settings.
        known: The types of all settings, by dotted key.
        block: The block that the settings are in, with a dot at its end.

    Raises:
        UserError: A block is a value, an empty block is unknown, or a setting is null that cannot be.
    """
    for key, value in settings.items():
        name = f"{block}{key}"
        is_block = any(one.startswith(f"{name}.") and not one.endswith(".help") for one in known)
        if name == "config" and value is not None:
            raise UserError("config cannot be set inside settings; put the settings of that configuration here")
        if is_block and isinstance(value, Mapping):
            check_structure(value, known, f"{name}.")
        elif is_block and not (isinstance(value, str) and Path(value).is_file()):
            shown = "null" if value is None else repr(value)
            raise UserError(
                f"{name} is {shown[:80]}; it should be a mapping of settings, which --help lists, or be left out"
            )
        elif isinstance(value, Mapping) and not value and name not in known:
            raise UserError(f"there is no setting {name}; leave it out")
        elif value is None and name in known and not _allows_null(known[name]):
            raise UserError(f"{name} is null, which it cannot be; leave it out for its default")


def _allows_null(kind: Any) -> bool:
    inner = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return kind in (None, Any, NoneType) or any(map(_allows_null, inner))


def settings_in_configs(words: Sequence[str], flags: Collection[str]) -> Iterator[dict[str, Any]]:
    """The settings in the configurations on a command line.

    Args:
        words: The arguments after the command.
        flags: The options that are followed by a configuration.
    """
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        path = Path(value if equals else "".join(words[place + 1 : place + 2]))
        if flag in flags and path.is_file():
            yield nested_settings(path)
