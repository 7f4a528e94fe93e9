"""Fonts for labels in any script."""

import functools
from collections.abc import Iterable

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

from emotion_lit.console import say


def use_fonts_for(labels: Iterable[str]) -> None:
    """Lets figures fall back on installed fonts for characters that matplotlib's own lacks; says so if there are none.

    Args:
        labels: What will be written.
    """
    _use(frozenset(character for label in labels for character in label if character.isprintable()))


@functools.cache
def _use(characters: frozenset[str]) -> None:
    missing = {ord(character) for character in characters} - _covered(findfont(FontProperties()))
    families = list(matplotlib.rcParams["font.family"])
    for font in fontManager.ttflist if missing else ():
        covered = missing & _covered(font.fname)
        if covered:
            missing -= covered
            families.append(font.name)
    matplotlib.rcParams["font.family"] = list(dict.fromkeys(families))
    if missing:
        examples = "".join(chr(code) for code in sorted(missing)[:5])
        say(f"no installed font has {examples}: figures show boxes for them, tables and files show them as they are")


@functools.cache
def _covered(file: str) -> frozenset[int]:
    """The characters of a font; none of one that cannot be drawn at any size, as emoji in color."""
    try:
        font = FT2Font(file)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()
