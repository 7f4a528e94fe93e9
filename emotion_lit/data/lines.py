"""Lines of a file of text, however long a hostile one is: no more than a bound of them is ever in memory."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from emotion_lit.errors import UserError

# In characters. No tokenizer needs a hundredth of it for the longest text that an encoder reads.
LONGEST = 2**24
TOO_LONG = f" is longer than {LONGEST:,} characters; split it"


class Text(Protocol):
    """A file of text."""

    def readline(self, size: int = -1, /) -> str:
        """The rest of a line, or so many characters of it."""


def lines_of(text: Text) -> Iterator[str | None]:
    """The lines of a file, with their ends; None in the place of one that is too long.

    Args:
        text: The file.
    """
    while line := text.readline(LONGEST):
        if len(line) < LONGEST or line.endswith(("\n", "\r")):
            yield line
            continue
        while (rest := text.readline(LONGEST)) and not rest.endswith(("\n", "\r")):
            pass
        yield None


class RowLines:
    """Lines for a reader of rows that may go over several of them, as quoted fields do.

    Args:
        lines: The lines.
        name: The name of the file.
    """

    def __init__(self, lines: Iterable[str | None], name: str) -> None:
        self._lines = lines
        self._name = name
        self._taken = 0

    def begin_row(self) -> None:
        """Says that a row begins."""
        self._taken = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, 1):
            self._taken += len(line or "")
            if line is None or self._taken > LONGEST:
                raise UserError(
                    f"{self._name}, line {number}: a row is longer than {LONGEST:,} characters; perhaps a quotation "
                    "mark before it is not closed"
                )
            yield line


def is_nested(value: object, levels: int) -> bool:
    """Whether lists and objects are in each other for more than so many levels.

    Args:
        value: A value out of JSON.
        levels: How many.
    """
    inside = [value]
    for _ in range(levels):
        inside = [
            item
            for one in inside
            if isinstance(one, list | dict)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not inside:
            return False
    return True
