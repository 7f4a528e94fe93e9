"""Configuration files: finds recipes, and reads YAML with limits on its size."""

from pathlib import Path
from typing import Any

import yaml

from emotion_lit.errors import UserError
from emotion_lit.utils.names import listed
from emotion_lit.utils.paths import expanded

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A configuration with all settings has 200 lines; labels may be many.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 2**20, 100_000, 50


# In the wheel, recipes are inside the package; in a checkout, next to it.
_PACKAGE = Path(__file__).resolve().parents[2]
RECIPE_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def recipes() -> dict[str, Path]:
    """The configurations that come with the program, by name, such as ``replication/frozen_1_percent``."""
    folder = next((one for one in RECIPE_FOLDERS if one.is_dir()), RECIPE_FOLDERS[0])
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*.yaml"))}


def find_recipe(name: str) -> Path | None:
    """The file of a recipe; None if a file has this name, or no recipe has it.

    Args:
        name: A name or a path; a recipe may have the prefix `configs/` and the suffix `.yaml`.
    """
    if Path(name).exists():
        return None
    return recipes().get(name.replace("\\", "/").removeprefix("configs/").removesuffix(".yaml"))


def find_config(name: str | Path) -> Path:
    """The configuration file of a path or of a recipe.

    Args:
        name: A path, which takes precedence if it exists, or the name of a recipe.

    Raises:
        UserError: There is no such file or recipe.
    """
    path = Path(expanded(name))
    if found := find_recipe(str(path)):
        return found
    if not path.exists():
        raise UserError(no_config(str(name)))
    if path.is_dir():
        raise UserError(f"the configuration {name} is a folder; give a file, or a recipe such as quickstart")
    return path


def no_config(name: str) -> str:
    """The message about a missing configuration.

    Args:
        name: The name that was given.
    """
    return f"there is no configuration {name}; give a file, or one of the recipes: {listed(recipes())}"


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
        raise UserError(f"{path} is larger than {MOST_BYTES >> 20} MiB, the limit for configurations")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    try:
        is_blown_up = _is_blown_up(text)
        settings = None if is_blown_up else yaml.compose(text, LOADER)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # for example an invalid character
        raise UserError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from error
    if is_blown_up:
        raise UserError(
            f"{path} has more than {MOST_VALUES:,} values, with aliases expanded, or more than {MOST_LEVELS} "
            "levels, which are the limits for configurations"
        )
    if not isinstance(settings, yaml.MappingNode):
        raise UserError(f"{path} is not a configuration; it should have lines such as name: my_run")
    if twice := _repeated_key(settings):
        raise UserError(
            f"{path}, line {twice.start_mark.line + 1}: the key {twice.value} occurs twice; leave one of them out"
        )
    return text


def _is_blown_up(text: str) -> bool:
    """Counts the values of YAML with aliases expanded, without expanding them; recursive aliases count as infinite."""
    sizes: dict[str | None, int] = {}
    open_ones: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, LOADER):
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


def _repeated_key(node: yaml.Node) -> yaml.Node | None:
    """The first duplicate key of a mapping or of one inside it; YAML would silently use the last value."""
    seen: set[str] = set()
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        if not isinstance(child, tuple):
            found = _repeated_key(child)
        elif isinstance(child[0], yaml.ScalarNode) and child[0].value in seen:
            found = child[0]
        else:
            seen.add(str(child[0].value))
            found = _repeated_key(child[1])
        if found:
            return found
    return None
