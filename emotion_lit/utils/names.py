"""Class names for display: on one line, and shortened. In data files they stay as they are."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LONGEST, MOST = 60, 50
NAME_PARTS = {"config": "configuration", "revision": "revision"}
# The largest number of classes in a figure, a terminal table or TensorBoard.
SHOWN_CLASSES = 40
# Characters that are escaped: control characters, line separators, and changes of the writing direction.
UNSEEN = {"Cc", "Zl", "Zp"}
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def shown(name: str, longest: int = LONGEST) -> str:
    r"""A name on one line, with invisible characters escaped as `\n` and the like, and shortened if it is long.

    Args:
        name: The name.
        longest: The maximum number of characters.
    """
    line = name if name.isprintable() else "".join(map(_seen, name))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _seen(character: str) -> str:
    if character in TURNS or unicodedata.category(character) in UNSEEN:
        return character.encode("unicode_escape").decode()
    return character


def listed(names: Iterable[str], most: int = MOST) -> str:
    """Names joined for a sentence; of many only the first ones.

    Args:
        names: The names.
        most: The maximum number of names.
    """
    all_of_them = list(names)
    more = len(all_of_them) - most
    some = ", ".join(map(shown, all_of_them[:most]))
    return f"{some} and {more:,} more" if more > 0 else some or "none"


def dataset_name(settings: Mapping[str, Any]) -> str:
    """The name of a dataset with its configuration and its revision, if they are set.

    Args:
        settings: The settings of the data.
    """
    parts = [f"{what} {settings[key]}" for key, what in NAME_PARTS.items() if settings.get(key) is not None]
    name = str(settings.get("dataset", "sample"))
    return f"{name} ({', '.join(parts)})" if parts else name


def shown_apart(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Unique display names: names that look the same get their index appended.

    Args:
        names: The names.
        longest: The maximum number of characters.
    """
    short = [shown(name, longest) for name in names]
    seen: dict[str, int] = {}
    for name in short:
        seen[name] = seen.get(name, 0) + 1
    return [f"{name} ({place})" if seen[name] > 1 else name for place, name in enumerate(short)]
