"""Errors of writing an output, in one line that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from emotion_lit.errors import UserError
from emotion_lit.utils import platforms

STDOUT = "-"


@contextmanager
def clear_write_errors(path: str) -> Iterator[None]:
    """Turns errors of the operating system into a `UserError`.

    Args:
        path: The output as the setting names it, ``-`` for standard output.

    Raises:
        UserError: The output cannot be written.
        BrokenPipeError: Standard output is a closed pipe.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except PermissionError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; close the program that has it open, or change "
            "the permissions, and run the same command again"
        ) from error
    except OSError as error:
        if path == STDOUT and error.errno == errno.EINVAL and platforms.is_windows():
            raise BrokenPipeError(*error.args) from error  # Windows' error for a closed pipe
        raise UserError(f"{path} cannot be written: {error.strerror or error}; make room for it") from error
