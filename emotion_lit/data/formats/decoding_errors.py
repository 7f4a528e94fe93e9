"""Bytes that the encoding of a file has not: found in a row, and said."""

import re

from emotion_lit.data.formats.encodings import UTF8

# How Python keeps a byte that is no UTF-8.
ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def unreadable(text: str, encoding: str) -> tuple[str, str] | None:
    """The reason why a text cannot be read, and what of it can; None where all of it can.

    Args:
        text: The text, in which a byte that is no UTF-8 is half a surrogate pair.
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
