"""What the program says to a person: progress and notes on stderr, results on stdout, and both in the log of the run.

A stream that is closed or full never ends a command: what cannot be shown stands in the log.
"""

import contextlib
import io
import sys
import textwrap
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from emotion_lit.utils.console_tables import text_width
from emotion_lit.utils.redaction import redact
from emotion_lit.utils.streams import is_terminal, terminal_width

# Seconds; into a file each state of a bar is a line of its own, so more seldom, and none for short work.
REFRESH_ON_TERMINAL, REFRESH_IN_FILE = 0.1, 15.0
# Lines that are remembered for a log that begins later.
REMEMBERED = 10_000
INDENT = "  "


class _Log:
    """What has been said, and the file that it is kept in."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=REMEMBERED)
        self.file: Path | None = None
        self.only_if_lost = False
        self.lost = False
        self.once: set[str] = set()

    def add(self, text: str) -> None:
        self.lines.append(redact(text))
        self.flush()

    def flush(self) -> None:
        if self.file is None or (self.only_if_lost and not self.lost):
            return
        with contextlib.suppress(OSError), self.file.open("a", encoding="utf-8", errors="replace", newline="\n") as log:
            while self.lines:
                log.write(self.lines.popleft() + "\n")


_log = _Log()
_bars_enabled = True
_silent = False


def begin_log() -> None:
    """Forgets what an earlier command has said, and the file that it went to."""
    global _log, _silent
    _log, _silent = _Log(), False


def keep_log(file: Path, only_if_lost: bool = False) -> None:
    """Keeps what has been said, and all that will be, in a file too.

    Args:
        file: The file, which is added to.
        only_if_lost: Whether to do so only when a stream could not be written.
    """
    _log.file, _log.only_if_lost = file, only_if_lost
    _log.flush()


def silence() -> None:
    """Leaves it to the first of several processes to say what all of them would."""
    global _silent
    _silent = True
    enable_bars(False)


def say(text: str, wrap: bool = True, from_all: bool = False) -> None:
    """Writes a line to stderr without breaking a progress bar.

    Args:
        text: The line.
        wrap: Whether a terminal may break it between words; False for commands and paths, which are copied.
        from_all: Whether every process says it, where there are several.
    """
    if from_all or not _silent:
        _write(text, sys.stderr, wrap)


def say_once(text: str) -> None:
    """Says a line that the same command has not said yet.

    Args:
        text: The line.
    """
    if text not in _log.once:
        _log.once.add(text)
        say(text)


def show(text: str) -> None:
    """Writes a result to stdout.

    Args:
        text: The lines.
    """
    if not _silent:
        _write(text, sys.stdout, wrap=False)


def _write(text: str, stream: TextIO, wrap: bool) -> None:
    _log.add(text)
    width = terminal_width(stream)
    if wrap and width:
        text = "\n".join(_wrapped(line, width) for line in text.split("\n"))
    try:
        with tqdm.external_write_mode(file=stream):
            stream.write(text + "\n")
            stream.flush()
    except (OSError, ValueError):  # full or closed
        _log.lost = True
        _log.flush()


def _wrapped(line: str, width: int) -> str:
    if text_width(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)


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
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(state + "\n")
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def enable_bars(enabled: bool) -> None:
    """Shows or hides the progress bars that come from now on.

    Args:
        enabled: Whether they are shown.
    """
    global _bars_enabled
    _bars_enabled = enabled


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
