"""Pieces of a file in whole lines, however long a hostile line is: no more than a bound of it is ever in memory."""

from collections.abc import Iterator
from typing import Protocol

from emotion_lit.errors import UserError

# In bytes. No tokenizer needs a hundredth of it for the longest text that an encoder reads.
LONGEST = 2**24
# Small pieces give the first rows soon, and keep what is odd in a file from slowing down the rest of it.
SMALLEST_PIECE, LARGEST_PIECE = 2**18, 2**21


class Bytes(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the next bytes; none at the end."""


def too_long() -> str:
    """The reason why a line is not read."""
    return f" is longer than {LONGEST:,} bytes; split it"


class Pieces:
    """The bytes of a file in pieces of whole lines, whose ends are CR, LF or both.

    Args:
        raw: The bytes.

    Attributes:
        size: About how many bytes the next piece has.
        again: How many bytes were read once more.
    """

    def __init__(self, raw: Bytes) -> None:
        self._raw = raw
        self._kept = b""
        self._ended = False
        self.size = SMALLEST_PIECE
        self.again = 0

    def take(self) -> bytes | None:
        """The next piece; empty at the end of the file, and None in the place of a line that is too long."""
        data = self._kept
        if len(data) < self.size:
            block = self._read(self.size - len(data))
            end = block.rfind(b"\n") + 1
            if end:  # mostly, and with one copy less
                self._kept = block[end:]
                return b"".join((data, memoryview(block)[:end]))
            data += block
        while True:
            end = len(data) if self._ended and len(data) <= self.size else _last_end(data, self.size, self._ended)
            if end or (self._ended and len(data) <= LONGEST):
                break
            if len(data) > LONGEST:
                self._skip_line(data)
                return None
            data += self._read(max(self.size, len(data)))
        end = end or len(data)
        self._kept = data[end:]
        return data[:end]

    def give_back(self, rest: bytes) -> None:
        """Puts back the end of the last piece, so that the next one begins with it.

        Args:
            rest: Whole lines.
        """
        self._kept = rest + self._kept

    def grow(self) -> None:
        """Makes the next pieces larger."""
        self.size = min(2 * self.size, LARGEST_PIECE)

    def shrink(self) -> bool:
        """Makes the next pieces as small as they are at first.

        Returns:
            Whether they were of another size.
        """
        larger = self.size != SMALLEST_PIECE
        self.size = SMALLEST_PIECE
        return larger

    def _read(self, size: int) -> bytes:
        parts = []
        while size > 0 and not self._ended:
            part = self._raw.read(size)
            self._ended = not part
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _skip_line(self, data: bytes) -> None:
        while not (end := _first_end(data, self._ended)):
            if self._ended:
                self._kept = b""
                return
            data = data[-1:] + self._read(self.size)  # a CR may be the first half of an end
        self._kept = data[end:]


def _last_end(data: bytes, size: int, ended: bool) -> int:
    """Where the last line ends that is whole within so many bytes; if none is, the first that is whole."""
    feed = data.rfind(b"\n", 0, size)
    back = data.rfind(b"\r", feed + 1, size)
    if back == len(data) - 1 and not ended:  # a line feed may follow
        back = data.rfind(b"\r", feed + 1, back)
    if back >= 0 and data[back + 1 : back + 2] == b"\n":
        return back + 2
    return max(feed, back) + 1 or (_first_end(data, ended) if len(data) > size else 0)


def _first_end(data: bytes, ended: bool) -> int:
    """Where the first line ends; 0 where it does not."""
    found = [place for place in (data.find(b"\n"), data.find(b"\r")) if place >= 0]
    if not found:
        return 0
    end = min(found)
    if data[end] == ord("\r"):
        if end == len(data) - 1 and not ended:
            return 0
        return end + 2 if data[end + 1 : end + 2] == b"\n" else end + 1
    return end + 1


class RowLines:
    """Lines for a reader of rows that may go over several of them, as quoted fields do.

    Args:
        pieces: The file.
        piece: The piece that is read; at its end, whole rows are taken from the next ones.
        line: The number of its first line.
        name: The name of the file.
    """

    def __init__(self, pieces: Pieces, piece: bytes, line: int, name: str) -> None:
        self._pieces = pieces
        self._name = name
        self._lines: list[bytes | None] = [*piece.splitlines(keepends=True)]
        self._own = len(self._lines)
        self._start = self._next = 0
        self._line = line
        self._taken = 0

    @property
    def line(self) -> int:
        """The number of the first line of the row."""
        return self._line + self._start

    @property
    def last_line(self) -> int:
        """The number of the line that was read last."""
        return self._line + self._next - 1

    def begin_row(self) -> bool:
        """Says that a row begins.

        Returns:
            Whether there is one in the piece.
        """
        self._start, self._taken = self._next, 0
        return self._start < self._own

    def first_line(self) -> str:
        """The first line of the row, alone; what follows it comes again."""
        self._pieces.again += self._taken
        if self._pieces.again > 4 * LONGEST:
            raise UserError(f"{self._name}, line {self.line}: too many quotation marks here are not closed; mend them")
        self._next = self._start + 1
        return decoded(self._lines[self._start] or b"")

    def give_back_rest(self) -> int:
        """Puts back what has not been read.

        Returns:
            The number of the next line.
        """
        self._pieces.give_back(b"".join(line or b"" for line in self._lines[self._next :]))
        return self._line + self._next

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._next >= len(self._lines):
            piece = self._pieces.take()
            if piece == b"":
                raise StopIteration
            self._lines += [None] if piece is None else piece.splitlines(keepends=True)
        line = self._lines[self._next]
        self._next += 1
        self._taken += LONGEST + 1 if line is None else len(line)
        if self._taken > LONGEST:
            raise UserError(
                f"{self._name}, line {self.last_line}: a row is longer than {LONGEST:,} bytes; perhaps a quotation "
                "mark before it is not closed"
            )
        return decoded(line or b"")


def decoded(line: bytes) -> str:
    """A line as text, in which a byte that is no UTF-8 is half a surrogate pair.

    Args:
        line: Its bytes.
    """
    return line.decode("utf-8", "surrogateescape")
