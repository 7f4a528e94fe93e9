"""`UserError`, the exception for errors that a user can fix."""

import difflib
from collections.abc import Iterable

from emotion_lit.utils.names import listed, shown


class UserError(Exception):
    """A mistake in a command, a configuration or an input; the command line shows it as one line and exits with 2."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows."""
        return [f"error: {self}"]


def unknown(what: str, value: str, known: Iterable[str]) -> UserError:
    """An error for a name that is not one of the known ones, with the nearest match.

    Args:
        what: The kind of name, such as ``"label"``.
        value: The name that was given.
        known: The names that exist.
    """
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1)
    hint = f"; did you mean {shown(near[0])!r}?" if near else "."
    return UserError(f"{what} {shown(value)!r} is not known{hint} Available: {listed(names)}.")
