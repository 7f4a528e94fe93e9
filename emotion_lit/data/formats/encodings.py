"""Encodings of text files, set or detected from the first bytes. All readers get UTF-8."""

import codecs
import re

import numpy as np

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.lines import Bytes
from emotion_lit.errors import UserError

UTF8 = "utf-8"
# The marks of UTF-32 come first, because they begin like those of UTF-16.
MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
START = 2**16
# The share of line ends next to a zero byte from which on a file is UTF-16; other files can have a few.
MOST = 0.9
# Stands for bytes that an encoding cannot decode; it never occurs in UTF-8.
UNREADABLE = b"\xff"


class Decoded:
    """A file's bytes as UTF-8, without a byte-order mark.

    Args:
        raw: The bytes of the file.
        encoding: The encoding; None detects it.
        name: The name of the file, for messages.

    Attributes:
        encoding: The encoding.
        start: The first bytes of the file.
        marks: The number of byte-order marks at the beginning.
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
        """The first bytes as UTF-8, about as many as in `start`; `read` returns them again."""
        self._ready = self._ready or self.read(START)
        return self._ready

    def read(self, size: int, /) -> bytes:
        """The next bytes, about ``size``; empty at the end."""
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
        except UnicodeError as error:  # about the whole file; single characters are replaced
            raise UserError(
                f"{self._name} cannot be read as {self.encoding}: {error}; correct data.encoding, or leave it out"
            ) from error


def is_plain(chunk: bytes) -> bool:
    """Whether a chunk of whole lines is UTF-8 without byte-order marks, and its lines end with LF or CRLF."""
    if len(chunk) > lines.LONGEST or not is_utf8(chunk):
        return False
    if codecs.BOM_UTF8[:1] in chunk and codecs.BOM_UTF8 in chunk:  # looking for one byte is much faster
        return False
    if b"\r" not in chunk:
        return True
    buffer = np.frombuffer(chunk, np.uint8)
    after = np.flatnonzero(buffer == ord("\r")) + 1
    return bool(after[-1] < len(buffer) and (buffer[after] == ord("\n")).all())


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
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
    """UTF-16 if there are zero bytes next to line ends, else UTF-8."""
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
    """Python's name of an encoding; raises `UserError` if there is no such text encoding."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise UserError(
            f"data.encoding is {name!r}, which Python does not know; use utf-8, utf-16 or cp1252, for example"
        )
    return UTF8 if found.name in (UTF8, "utf-8-sig", "ascii") else found.name


def _unreadable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE.decode("utf-8", "surrogateescape"), error.end


# A byte that is not UTF-8, as Python keeps it.
ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def decoding_error(text: str, encoding: str) -> tuple[str, str] | None:
    """The reason why a text cannot be decoded, and the part that can; None if there is no error.

    Args:
        text: The text, in which a byte that is not UTF-8 is half of a surrogate pair.
        encoding: The encoding of the file.
    """
    found = None if text.isascii() else ESCAPED_BYTE.search(text)
    if found is None:
        return None
    place = f"character {found.start() + 1}"
    if encoding == UTF8:
        reason = (
            f": byte 0x{ord(found.group()) - 0xDC00:02x} is not UTF-8 ({place}); convert the file to UTF-8, or set "
            "data.encoding, such as cp1252"
        )
    else:
        reason = f": {place} is not {encoding}; set data.encoding to that of the file"
    return reason, text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").rstrip("\r\n")


_HANDLER = "emotion_lit.unreadable"
codecs.register_error(_HANDLER, _unreadable)
