"""What the program says to a person: progress and notes on stderr, results on stdout."""

import io
import os
import sys
from typing import Any, TextIO

from tqdm import tqdm

# Seconds; into a file each state of a bar is a line of its own, so more seldom, and none for short work.
REFRESH_ON_TERMINAL, REFRESH_IN_FILE = 0.1, 15.0

_bars_enabled = True


class _StatesAsLines(io.TextIOBase):
    """Writes each state of a bar as a line of its own, for files and terminals that cannot go back to a line's start.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a state, and leaves out what would only clear the bar."""
        state = text.strip("\r\n ")
        if state:
            self._stream.write(state + "\n")
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._stream.flush()


def enable_bars(enabled: bool) -> None:
    """Shows or hides the progress bars that come from now on.

    Args:
        enabled: Whether they are shown.
    """
    global _bars_enabled
    _bars_enabled = enabled


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be written over.

    Args:
        stream: The stream.
    """
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """Writes a line to stderr without breaking a progress bar.

    Args:
        text: The line.
    """
    _write(text, sys.stderr)


def progress_bar(title: str, total: int | None, done: int = 0, enabled: bool = True) -> "tqdm[Any]":
    """A bar on stderr that counts texts and shows texts per second and the time left, and goes when it is done.

    Args:
        title: What is going on.
        total: How many texts there are; None where that is not known.
        done: How many of them are done already.
        enabled: False shows nothing.
    """
    on_terminal = is_terminal(sys.stderr)
    return tqdm(
        total=total,
        initial=done,
        desc=title,
        unit=" texts",
        leave=False,
        file=sys.stderr if on_terminal else _StatesAsLines(sys.stderr),
        dynamic_ncols=on_terminal,
        mininterval=REFRESH_ON_TERMINAL if on_terminal else REFRESH_IN_FILE,
        delay=0 if on_terminal else REFRESH_IN_FILE,
        disable=not (enabled and _bars_enabled),
    )


def show(text: str) -> None:
    """Writes a result to stdout.

    Args:
        text: The lines.
    """
    _write(text, sys.stdout)


def _write(text: str, stream: TextIO) -> None:
    with tqdm.external_write_mode(file=stream):
        stream.write(text + "\n")
        stream.flush()


def table(rows: list[list[str]]) -> str:
    """Lays rows out in columns, the first aligned left and the others right; the first row is the heading.

    Args:
        rows: Cells, row by row, all rows of one length.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(rows: list[list[str]]) -> str:
    """The same rows as a Markdown table.

    Args:
        rows: Cells, row by row, all rows of one length.
    """
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    rule = "|" + "|".join(["---"] + ["---:"] * (len(rows[0]) - 1)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
