"""Standard streams, which may be closed, full, of another encoding, or a terminal."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from tqdm import tqdm

from emotion_lit.errors import UserError

_stdout_closed = False


def open_streams() -> None:
    """Makes the standard streams safe to write to, at the start of the program.

    The descriptor of a closed stream would be reused for the next file, and messages would be written to that file.
    Labels may have characters that the encoding of the terminal lacks.
    """
    global _stdout_closed
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free descriptor, which is this one
    _stdout_closed = _stdout_closed or sys.stdout is None  # a second call finds the stream that the first one opened
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(getattr(sys, name), io.TextIOWrapper):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def close_streams() -> None:
    """Flushes the standard streams at the end of the program; if that failed at exit, Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def only_python_on_stderr() -> Iterator[None]:
    """Hides what libraries in other languages write to the descriptor of stderr; Python's own stream stays.

    Their logs have it too, and it would tear lines and progress bars apart.
    """
    stream = sys.stderr
    stream.flush()
    kept = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.close(silent)
    try:
        if isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2:
            raw = io.FileIO(kept, "w", closefd=False)
            sys.stderr = io.TextIOWrapper(raw, stream.encoding, errors="backslashreplace", line_buffering=True)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = stream
        os.dup2(kept, 2)
        os.close(kept)


def check_stdout() -> None:
    """Checks that results can be written to stdout.

    Raises:
        UserError: It was closed at the start of the program.
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
        if buffer is None:  # in a notebook
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            buffer.write(text.encode("utf-8"))
            buffer.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can overwrite a line.

    Args:
        stream: The stream.
    """
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def terminal_width(stream: TextIO) -> int | None:
    """The width of a terminal in columns; None if the stream is not a terminal.

    Args:
        stream: The stream.
    """
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def is_notebook() -> bool:
    """Whether this runs in Jupyter or IPython, where the process continues after a command."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
