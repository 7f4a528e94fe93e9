"""Rows of text laid out in columns."""

import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from emotion_lit.utils.streams import terminal_width

GAP = "  "
# Characters with a meaning in Markdown or HTML, and their escapes.
MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: f"\\{sign}" for sign in "\\`[]|"}})


def text_width(text: str) -> int:
    """The width of a text on a terminal, in columns; East Asian characters take two.

    Args:
        text: The text.
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "FW")
        for character in text
    )


def table(rows: list[list[str]], stream: TextIO | None = None) -> str:
    """Lays rows out in columns, the first aligned left and the others right; the first row is the heading.

    Columns that do not fit are placed below the others, next to the first column again.

    Args:
        rows: Cells, row by row, all rows of one length.
        stream: The stream that the table is for, whose width limits it; by default stdout.
    """
    width = terminal_width(stream or sys.stdout) or sys.maxsize
    widths = [max(text_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    if widths[0] + len(GAP) + max(widths[1:], default=0) > width:
        return _list(rows)
    blocks: list[list[int]] = []
    room = 0
    for column in range(1, len(widths)):
        if widths[column] + len(GAP) > room:
            blocks.append([])
            room = width - widths[0]
        blocks[-1].append(column)
        room -= widths[column] + len(GAP)
    return "\n\n".join(_block(rows, [0, *columns], widths) for columns in blocks or [[]])


def _block(rows: list[list[str]], columns: Sequence[int], widths: Sequence[int]) -> str:
    lines = []
    for number, row in enumerate(rows):
        cells = []
        for column in columns:
            blanks = " " * (widths[column] - text_width(row[column]))
            cells.append(blanks + row[column] if column else row[column] + blanks)
        lines.append(GAP.join(cells).rstrip())
        if number == 0:
            lines.append(GAP.join("-" * widths[column] for column in columns))
    return "\n".join(lines)


def _list(rows: list[list[str]]) -> str:
    """A line for each cell, for terminals that are too narrow for two columns."""
    heading, *body = rows
    return "\n".join(
        "\n".join([row[0], *(f"{GAP}{cell} {name}" for name, cell in zip(heading[1:], row[1:], strict=True))])
        for row in body
    )


def markdown(text: str) -> str:
    """Escapes text for Markdown, so that it contains no tags, links, images, code or cell borders.

    Args:
        text: Any text.
    """
    return " ".join(text.splitlines()).translate(MARKUP)


def markdown_table(rows: list[list[str]]) -> str:
    """The same rows as a Markdown table.

    Args:
        rows: Cells, row by row, all rows of one length.
    """
    escaped = [[markdown(cell) for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    rule = "|" + "|".join(["---"] + ["---:"] * (len(rows[0]) - 1)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
