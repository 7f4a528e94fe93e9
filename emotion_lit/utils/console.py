"""Console output: progress and notes on stderr, results on stdout, and all of it in the log of the run.

A closed or full stream never ends a command; output that cannot be shown is in the log.
"""

import contextlib
import io
import sys
import textwrap
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from emotion_lit.utils.console_tables import text_width
from emotion_lit.utils.redaction import redact
from emotion_lit.utils.streams import is_terminal, terminal_width

# Seconds between updates of a progress bar. In a file each update is a line, so they are rare, and short work has none.
REFRESH_ON_TERMINAL, REFRESH_IN_FILE = 0.1, 15.0
# The number of lines that are kept until a log file is set.
REMEMBERED = 10_000
INDENT = "  "


class _Log:
    """The lines that were printed, and the log file for them."""

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
_only_in_log = False


def start_log() -> None:
    """Starts a new log, for a new command."""
    global _log, _silent
    _log, _silent = _Log(), False


def keep_log(file: Path, only_if_lost: bool = False) -> None:
    """Writes all output, earlier output included, to a log file too.

    Args:
        file: The file; output is appended.
        only_if_lost: Whether to write the file only if a stream could not be written.
    """
    _log.file, _log.only_if_lost = file, only_if_lost
    _log.flush()


def silence() -> None:
    """Disables the output of this process, because the first of several processes prints it."""
    global _silent
    _silent = True
    enable_bars(False)


@contextlib.contextmanager
def only_in_log(enabled: bool = True) -> Iterator[None]:
    """Inside this block, output goes to the log of the run alone; progress bars are still shown.

    Args:
        enabled: False changes nothing.
    """
    global _only_in_log
    before, _only_in_log = _only_in_log, enabled or _only_in_log
    try:
        yield
    finally:
        _only_in_log = before


def is_only_in_log() -> bool:
    """Whether output goes to the log of the run alone, so that nobody waits for it."""
    return _only_in_log


def say(text: str, wrap: bool = True, from_all: bool = False) -> None:
    """Writes a line to stderr without breaking a progress bar.

    Args:
        text: The line.
        wrap: Whether a terminal may break it between words; False for commands and paths, which are copied.
        from_all: Whether every process prints it, if there are several.
    """
    if from_all or not _silent:
        _write(text, sys.stderr, wrap)


def say_once(text: str) -> None:
    """Prints a line, unless the same command has printed it before.

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
    if _only_in_log:
        return
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
    """Writes each update of a progress bar as a line, for files and for terminals that cannot overwrite a line.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes an update; those that only clear the bar are left out."""
        state = text.strip("\r\n ")
        if state:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(state + "\n")
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def enable_bars(enabled: bool) -> None:
    """Enables or disables later progress bars.

    Args:
        enabled: Whether they are shown.
    """
    global _bars_enabled
    _bars_enabled = enabled


def progress_bar(title: str, total: int | None, done: int = 0, enabled: bool = True) -> "tqdm[Any]":
    """A progress bar on stderr, with the number of texts, texts per second and the remaining time.

    Args:
        title: The description in front of the bar.
        total: The number of texts; None if it is unknown.
        done: The number of texts that are already done.
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
