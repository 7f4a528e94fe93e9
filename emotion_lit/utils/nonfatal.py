"""Errors that do not end a run: files that could not be written are reported at once, and again at the end."""

import contextlib
from collections.abc import Iterator

from emotion_lit.utils import failures
from emotion_lit.utils.console import say

_missing: dict[str, str] = {}


def clear() -> None:
    """Forgets the errors of an earlier run."""
    _missing.clear()


def record(what: str, error: Exception) -> None:
    """Reports a file that could not be written.

    Args:
        what: The file or the part of the report; the same reason is reported once.
        error: The error.
    """
    explained = failures.explain(error)
    # Without the advice, which is for a command that has ended.
    reason = explained.split("; ")[0] if explained else failures.unexpected(error).removeprefix("error: ")
    if _missing.get(what) != reason:
        say(f"warning: {what} could not be written, and the run goes on without: {reason}", wrap=False)
    _missing[what] = reason


def resolve(what: str) -> None:
    """Forgets the error of a file that could be written later.

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
    """Records an error instead of raising it, for results that a run can do without.

    Args:
        what: The result that is missing then.
    """
    try:
        yield
    except Exception as error:
        record(what, error)


def summarize() -> None:
    """Lists all of them, at the end of a run."""
    for what, reason in _missing.items():
        say(f"missing      {what}: {reason}", wrap=False)
