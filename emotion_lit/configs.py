"""Configurations as files: YAML of a size that a person writes, which aliases do not blow up."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from emotion_lit.errors import UserError

# A configuration with all settings has 200 lines; labels may be many.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 2**20, 100_000, 50


def read_config(path: str) -> str:
    """The text of a configuration, with or without a byte order mark.

    Args:
        path: The file.

    Raises:
        UserError: It is in another encoding, not YAML, no settings, or too large for a configuration.
    """
    with Path(path).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} is larger than {MOST_BYTES >> 20} MiB, which no configuration is")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    try:
        is_blown_up, has_settings = _is_blown_up(text), _has_settings(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # a character that YAML does not take
        raise UserError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from error
    if not has_settings:
        raise UserError(f"{path} is no configuration; it should have lines such as name: my_run")
    if is_blown_up:
        raise UserError(
            f"{path} has more than {MOST_VALUES:,} values, aliases counted as what they stand for, or more than "
            f"{MOST_LEVELS} levels, which no configuration has"
        )
    return text


def _is_blown_up(text: str) -> bool:
    """Counts what YAML stands for without making it; an alias inside what it names has no end."""
    sizes: dict[str | None, int] = {}
    open_ones: list[tuple[str | None, int]] = []
    for event in _events(text):
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            sizes[event.anchor] = MOST_VALUES + 1
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            size = sizes[event.anchor] = 1
        else:
            continue
        if size and open_ones:
            open_ones[-1] = (open_ones[-1][0], open_ones[-1][1] + size)
        if size > MOST_VALUES or len(open_ones) > MOST_LEVELS or (open_ones and open_ones[-1][1] > MOST_VALUES):
            return True
    return False


def _has_settings(text: str) -> bool:
    """Whether it is a mapping, or empty."""
    content = (one for one in _events(text) if isinstance(one, yaml.NodeEvent))
    return isinstance(next(content, None), yaml.MappingStartEvent | None)


def _events(text: str) -> Iterator[yaml.Event]:
    events: Iterator[yaml.Event] = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return events
