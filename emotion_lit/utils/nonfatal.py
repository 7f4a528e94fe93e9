"""What a run could not keep: it is said when it happens, the run goes on, and it is said again at the end."""

import contextlib
from collections.abc import Iterator

from emotion_lit.utils import failures
from emotion_lit.utils.console import say

_missing: dict[str, str] = {}


def clear() -> None:
    """Forgets what an earlier run could not keep."""
    _missing.clear()


def record(what: str, error: Exception) -> None:
    """Says that something could not be kept.

    Args:
        what: What; the same is said once.
        error: Why.
    """
    explained = failures.explain(error)
    # Without the advice, which is for a command that has ended.
    reason = explained.split("; ")[0] if explained else failures.unexpected(error).removeprefix("error: ")
    if _missing.get(what) != reason:
        say(f"warning: {what} could not be written, and the run goes on without: {reason}", wrap=False)
    _missing[what] = reason


def resolve(what: str) -> None:
    """Takes back that something is missing.

    Args:
        what: What could be kept after all.
    """
    _missing.pop(what, None)


def is_recorded(what: str) -> bool:
    """Whether something could not be kept.

    Args:
        what: What.
    """
    return what in _missing


@contextlib.contextmanager
def suppress(what: str) -> Iterator[None]:
    """Lets a run go on where something fails that it can do without.

    Args:
        what: What is missing then.
    """
    try:
        yield
    except Exception as error:
        record(what, error)


def summarize() -> None:
    """Says all of it, at the end of a run."""
    for what, reason in _missing.items():
        say(f"missing      {what}: {reason}", wrap=False)
