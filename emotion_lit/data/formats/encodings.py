"""Encodings of files of text: found from the first bytes, or set; what is read is UTF-8."""

import codecs

import numpy as np

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.lines import Bytes
from emotion_lit.errors import UserError

UTF8 = "utf-8"
# The longer ones first: one of UTF-32 begins as one of UTF-16 does.
MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
START = 2**16
# Of the line ends of a text in UTF-16, which have a byte of zero beside them; other files may have a few such.
MOST = 0.9
# A byte that is in no UTF-8 marks what an encoding cannot read.
UNREADABLE = b"\xff"


class Decoded:
    """A file's bytes as UTF-8, without a byte-order mark.

    Args:
        raw: The bytes as they are.
        encoding: The encoding; None finds it.
        name: What the file is called in messages.

    Attributes:
        encoding: The encoding.
        start: The first bytes as they are.
        marks: How many byte-order marks it begins with.
    """

    def __init__(self, raw: Bytes, encoding: str | None = None, name: str = "the file") -> None:
        self._raw, self._name = raw, name
        self.start = self._kept = raw.read(START)
        mark, found = next(((mark, name) for mark, name in MARKS.items() if self.start.startswith(mark)), (b"", ""))
        self.encoding = encoding_of(encoding) if encoding else found or _without_mark(self.start)
        if found and self.encoding in (found, "utf-16", "utf-32"):
            self._kept, self.encoding = self.start[len(mark) :], found
        elif self.encoding == "utf-16" and _without_mark(self.start) != UTF8:
            self.encoding = _without_mark(self.start)
        self._ready = b""
        self.marks = 1 + self._kept.startswith(mark) if found else 0
        self._decoder = codecs.getincrementaldecoder(self.encoding)(errors=_HANDLER)

    def peek(self) -> bytes:
        """The first bytes as UTF-8, about as many as there are in `start`; they come again."""
        self._ready = self._ready or self.read(START)
        return self._ready

    def read(self, size: int, /) -> bytes:
        """About so many of the next bytes; none at the end."""
        if self._ready:
            ready, self._ready = self._ready, b""
            return ready
        data, self._kept = self._kept or self._raw.read(size), b""
        if self.encoding == UTF8:
            return data
        while True:
            text = self._decode(data)
            if text or not data:
                return text.encode("utf-8", "surrogateescape")
            data = self._raw.read(size)

    def _decode(self, data: bytes) -> str:
        try:
            return self._decoder.decode(data, final=not data)
        except UnicodeError as error:  # of the file as a whole; single characters are marked
            raise UserError(
                f"{self._name} cannot be read as {self.encoding}: {error}; mend data.encoding, or leave it out"
            ) from error


def is_plain(piece: bytes) -> bool:
    """Whether a piece of a file is UTF-8 without marks, and its lines end with a line feed, or a CR before it.

    Args:
        piece: Whole lines.
    """
    if len(piece) > lines.LONGEST or not is_utf8(piece):
        return False
    if codecs.BOM_UTF8[:1] in piece and codecs.BOM_UTF8 in piece:  # one byte is found much faster than three
        return False
    if b"\r" not in piece:
        return True
    buffer = np.frombuffer(piece, np.uint8)
    after = np.flatnonzero(buffer == ord("\r")) + 1
    return bool(after[-1] < len(buffer) and (buffer[after] == ord("\n")).all())


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8.

    Args:
        data: The bytes.
    """
    import pyarrow as pa

    if data.isascii():
        return True
    offsets = np.array([0, len(data)], np.int32)
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _without_mark(start: bytes) -> str:
    """UTF-16 where the zeros beside line ends say so, else UTF-8."""
    if b"\0" not in start:
        return UTF8
    units = np.frombuffer(start[: len(start) // 2 * 2], "<u2")
    ends = start.count(b"\n")
    for name, end, zeros in (("utf-16-le", 0x000A, start[1::2]), ("utf-16-be", 0x0A00, start[::2])):
        if ends and (units == end).sum() >= MOST * ends:
            return name
        if not ends and zeros.count(0) >= MOST * len(zeros):
            return name
    return UTF8


def encoding_of(name: str) -> str:
    """Python's name of an encoding.

    Args:
        name: One of its names.

    Raises:
        UserError: There is no such encoding of text.
    """
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise UserError(f"data.encoding is {name!r}, which Python does not know; take utf-8, utf-16 or cp1252, say")
    return UTF8 if found.name in (UTF8, "utf-8-sig", "ascii") else found.name


def _unreadable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE.decode("utf-8", "surrogateescape"), error.end


_HANDLER = "emotion_lit.unreadable"
codecs.register_error(_HANDLER, _unreadable)
