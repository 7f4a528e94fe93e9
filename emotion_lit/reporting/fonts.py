"""Fonts for the class names in figures, whatever their script."""

import functools
from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from emotion_lit.utils.console import say

# matplotlib's own font, which every machine has, and a font of macOS that draws every character as a box.
FONT, BOXES = "DejaVu Sans", ".LastResort"


def use_fonts_for(figure: Figure, names: Iterable[str]) -> Figure:
    """Sets the fonts of a figure so that all characters of some names are drawn, if the machine has such fonts."""
    fonts = _fonts("".join(sorted(set("".join(names)))))
    if fonts:
        for text in figure.findobj(Text):
            text.set_fontfamily([FONT, *fonts])
    return figure


@functools.cache
def _fonts(characters: str) -> tuple[str, ...]:
    """Fonts for characters that matplotlib's own lacks; prints one line about those that no font has."""
    entries = sorted(
        fontManager.ttflist, key=lambda font: (font.name != FONT, font.style != "normal", font.weight != 400)
    )
    missing, fonts = {ord(char) for char in characters if not char.isspace()}, []
    for entry in entries:
        if not missing:
            break
        found = missing & _characters(entry)
        if found:
            missing -= found
            fonts.append(entry.name)
    if missing:
        some = "".join(map(chr, sorted(missing)[:8]))
        say(
            f"no installed font has {some}, so the figures show boxes; install one, such as Noto Sans CJK, and make "
            "the report again"
        )
    return tuple(font for font in fonts if font != FONT)


def _characters(font: FontEntry) -> set[int]:
    try:
        return set() if font.name == BOXES else set(FT2Font(font.fname).get_charmap())
    except (OSError, RuntimeError):  # removed, or of a format that matplotlib cannot draw
        return set()
