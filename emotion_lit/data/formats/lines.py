"""Chunks of whole lines of a file. Memory is bounded, even if a line is longer than it."""

from collections.abc import Callable, Iterator
from typing import Protocol

from emotion_lit.data.formats.blocks import Block
from emotion_lit.errors import UserError

# The longest line or row, in bytes. A hundredth of it is enough for the longest text that an encoder reads.
LONGEST = 2**24
# In bytes. Small chunks give the first rows early, and bound the part of a file that is read row by row.
SMALLEST_CHUNK, LARGEST_CHUNK = 2**18, 2**21


class Bytes(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; empty at the end."""


def too_long() -> str:
    """The reason of an error about a line that is longer than `LONGEST`."""
    return f" is longer than {LONGEST:,} bytes; split it"


class Chunks:
    """The bytes of a file in chunks of whole lines, which end with CR, LF or both.

    Attributes:
        size: The approximate size of the next chunk, in bytes.
        again: The number of bytes that were read twice.
    """

    def __init__(self, raw: Bytes) -> None:
        self._raw = raw
        self._kept = b""
        self._ended = False
        self.size = SMALLEST_CHUNK
        self.again = 0

    def take(self) -> bytes | None:
        """The next chunk: empty at the end of the file, and None for a line that is too long."""
        data = self._kept
        if len(data) < self.size:
            block = self._read(self.size - len(data))
            end = block.rfind(b"\n") + 1
            if end:  # the usual case, with one copy less
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
        """Puts back the last lines of a chunk, so that the next chunk begins with them."""
        self._kept = rest + self._kept

    def grow(self) -> None:
        """Doubles the size of the next chunks, up to a limit."""
        self.size = min(2 * self.size, LARGEST_CHUNK)

    def shrink(self) -> bool:
        """Sets the size of the next chunks back to the smallest; returns whether it was larger."""
        larger = self.size != SMALLEST_CHUNK
        self.size = SMALLEST_CHUNK
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
            data = data[-1:] + self._read(self.size)  # the CR may be the first half of a CRLF
        self._kept = data[end:]


def _last_end(data: bytes, size: int, ended: bool) -> int:
    """The end of the last whole line within ``size`` bytes; if there is none, the end of the first whole line."""
    feed = data.rfind(b"\n", 0, size)
    back = data.rfind(b"\r", feed + 1, size)
    if back == len(data) - 1 and not ended:  # a line feed may follow
        back = data.rfind(b"\r", feed + 1, back)
    if back >= 0 and data[back + 1 : back + 2] == b"\n":
        return back + 2
    return max(feed, back) + 1 or (_first_end(data, ended) if len(data) > size else 0)


def _first_end(data: bytes, ended: bool) -> int:
    """The end of the first line; 0 if it does not end."""
    found = [place for place in (data.find(b"\n"), data.find(b"\r")) if place >= 0]
    if not found:
        return 0
    end = min(found)
    if data[end] == ord("\r"):
        if end == len(data) - 1 and not ended:
            return 0
        return end + 2 if data[end + 1 : end + 2] == b"\n" else end + 1
    return end + 1


def read_chunks(
    chunks: Chunks, fast: Callable[[bytes], Block | None], careful: Callable[[bytes | None], Block]
) -> Iterator[Block]:
    """Yields the rows of a file, each chunk by the faster of two readers that can read it.

    Args:
        chunks: The file.
        fast: Reads a whole chunk; None if Arrow might read it differently.
        careful: Reads a chunk row by row; None means a line that is too long.
    """
    while (chunk := chunks.take()) != b"":
        block = fast(chunk) if chunk else None
        if block is None and chunk and chunks.shrink():  # so that few rows are read one by one
            chunks.give_back(chunk)
            continue
        if block is None:
            block = careful(chunk)
        else:
            chunks.grow()
        if block.rejects or block.table.num_rows:
            yield block


class RowLines:
    """The lines of a chunk, for a reader of rows with quoted fields that can span several lines.

    Args:
        chunks: The file.
        chunk: The chunk; its last row may continue in the next chunks.
        line: The number of its first line.
        name: The name of the file.
    """

    def __init__(self, chunks: Chunks, chunk: bytes, line: int, name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._lines: list[bytes | None] = [*chunk.splitlines(keepends=True)]
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
        """The number of the last line that was read."""
        return self._line + self._next - 1

    def begin_row(self) -> bool:
        """Starts the next row; returns whether the chunk has one."""
        self._start, self._taken = self._next, 0
        return self._start < self._own

    def first_line(self) -> str:
        """The first line of the row. The lines after it are read again."""
        self._chunks.again += self._taken
        if self._chunks.again > 4 * LONGEST:
            raise UserError(
                f"{self._name}, line {self.line}: too many quotation marks from here on are not closed; close them"
            )
        self._next = self._start + 1
        return decoded(self._lines[self._start] or b"")

    def give_back_rest(self) -> int:
        """Puts back the lines that were not read; returns the number of the next line."""
        self._chunks.give_back(b"".join(line or b"" for line in self._lines[self._next :]))
        return self._line + self._next

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._next >= len(self._lines):
            chunk = self._chunks.take()
            if chunk == b"":
                raise StopIteration
            self._lines += [None] if chunk is None else chunk.splitlines(keepends=True)
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
    """A line as text; a byte that is not UTF-8 becomes half of a surrogate pair (``surrogateescape``)."""
    return line.decode("utf-8", "surrogateescape")
