"""Files of a cache that end in a checksum, so that a flipped bit or a missing part is noticed."""

import contextlib
import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from emotion_lit.utils.caches import warn_unusable
from emotion_lit.utils.files import reason_of

# The end of such a file: a mark, and a checksum of all that is before. numpy reads no further than an array goes, and
# to readers of ONNX it is one more entry of the model's `metadata_props`, with a key and no value.
FOOTER = "\x72\x1c\x0a\x1aemotion_lit crc32 {:08x}"
FOOTER_BYTES = len(FOOTER.format(0))
CHUNK_BYTES = 1 << 20


def append_checksum(file: Path) -> None:
    """Ends a file with a checksum of its content, so that a flipped bit or a missing part is noticed.

    Args:
        file: A complete ``.npy`` or ``.onnx`` file.

    Raises:
        OSError: It cannot be read, or grow.
    """
    with file.open("rb+") as opened:
        checksum = _checksum(opened, file.stat().st_size)
        opened.seek(0, os.SEEK_END)
        opened.write(FOOTER.format(checksum).encode())


def verify_checksum(file: Path) -> None:
    """Reads a whole file, and compares it with its checksum.

    Args:
        file: The file.

    Raises:
        ValueError: They differ.
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        checksum = _checksum(opened, max(0, file.stat().st_size - FOOTER_BYTES))
        if opened.read() != FOOTER.format(checksum).encode():
            raise ValueError("its checksum is wrong")


def _checksum(opened: BinaryIO, size: int) -> int:
    """Of so many bytes from where a file is; about 0.2 s for 500 MB that are in memory."""
    checksum = 0
    while size and (chunk := opened.read(min(size, CHUNK_BYTES))):
        checksum = zlib.crc32(chunk, checksum)
        size -= len(chunk)
    return checksum


def read_array(file: Path, sealed: bool = True) -> npt.NDArray[Any] | None:
    """An array that is kept in a cache, mapped into memory where that works; None where it is missing or damaged.

    Args:
        file: A ``.npy`` file.
        sealed: Whether it ends in a checksum, for which the whole file is read.
    """
    with _warn_if_damaged(file):
        if sealed:
            verify_checksum(file)
        return _mapped(file)
    return None


def is_intact(file: Path) -> bool:
    """Whether a file with a checksum is there and undamaged.

    Args:
        file: The file.
    """
    with _warn_if_damaged(file):
        verify_checksum(file)
        return True
    return False


@contextlib.contextmanager
def _warn_if_damaged(file: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError as error:
        warn_unusable(file.parent, f"cannot be read: {reason_of(error)}", "computing it again")
    except (OSError, ValueError, EOFError) as error:
        warn_unusable(file.parent, f"is damaged ({reason_of(error)})", "computing it again")


def _mapped(file: Path) -> npt.NDArray[Any]:
    array: npt.NDArray[Any]
    try:
        array = np.load(file, mmap_mode="r")
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENOMEM):
            raise
        warn_unusable(file.parent, f"cannot be mapped: {reason_of(error)}", "reading it into memory")
        array = np.load(file)
    return array
