"""The standard streams: closed, full, of another encoding, or a terminal."""

import contextlib
import io
import os
import sys
from typing import TextIO

from tqdm import tqdm

from emotion_lit.errors import UserError

_stdout_closed = False


def open_streams() -> None:
    """Makes the standard streams safe to write to; for the start of the program.

    A closed descriptor would be given to the next file that is opened, and a library's message would end up in it.
    Labels may have characters that the terminal's encoding lacks.
    """
    global _stdout_closed
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest one that is free, which is this
    _stdout_closed = _stdout_closed or sys.stdout is None  # a second call finds what the first has put there
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(getattr(sys, name), io.TextIOWrapper):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def close_streams() -> None:
    """Writes what is buffered; for the end of the program, where Python would exit with 120 if it cannot."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_stdout() -> None:
    """Checks that results can be written to stdout.

    Raises:
        UserError: It was closed when the program began.
    """
    if _stdout_closed:
        raise UserError("standard output is closed; give --prediction.path FILE")


def write_result(text: str) -> None:
    r"""Writes data to stdout: UTF-8 with ``\n``, whatever the locale and the system.

    Args:
        text: Whole lines.

    Raises:
        OSError: It cannot be written.
    """
    with tqdm.external_write_mode(file=sys.stdout):
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:  # a notebook's
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            buffer.write(text.encode("utf-8"))
            buffer.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be written over.

    Args:
        stream: The stream.
    """
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def terminal_width(stream: TextIO) -> int | None:
    """The columns of a terminal; None for a file, whose lines may be of any length.

    Args:
        stream: The stream.
    """
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def is_notebook() -> bool:
    """Whether this runs in Jupyter or IPython, whose process outlives a command."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
