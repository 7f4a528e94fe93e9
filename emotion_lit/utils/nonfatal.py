"""Nonfatal errors: files that could not be written are reported at once, and again at the end of the run."""

import contextlib
from collections.abc import Iterator

from emotion_lit.utils import failures
from emotion_lit.utils.console import say

_missing: dict[str, str] = {}


def clear() -> None:
    """Clears the errors of an earlier run."""
    _missing.clear()


def record(what: str, error: Exception) -> None:
    """Reports a file that could not be written.

    Args:
        what: The file or the part of the report; the same reason is reported once.
        error: The error.
    """
    explained = failures.explain(error)
    # Without the advice, which assumes that the command has ended.
    reason = explained.split("; ")[0] if explained else failures.unexpected(error).removeprefix("error: ")
    if _missing.get(what) != reason:
        say(f"warning: {what} could not be written; the run continues without it: {reason}", wrap=False)
    _missing[what] = reason


def resolve(what: str) -> None:
    """Removes the error of a file that could be written later.

    Args:
        what: The file.
    """
    _missing.pop(what, None)


def is_recorded(what: str) -> bool:
    """Whether a file could not be written.

    Args:
        what: The file.
    """
    return what in _missing


@contextlib.contextmanager
def suppress(what: str) -> Iterator[None]:
    """Records an error instead of raising it, for optional results of a run.

    Args:
        what: The result that is missing after an error.
    """
    try:
        yield
    except Exception as error:
        record(what, error)


def summarize() -> None:
    """Prints all recorded errors, at the end of a run."""
    for what, reason in _missing.items():
        say(f"missing      {what}: {reason}", wrap=False)
