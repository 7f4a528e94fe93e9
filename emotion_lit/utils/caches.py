"""Caches, ours and those of the libraries: folders without which everything goes on, only slower."""

import atexit
import contextlib
import errno
import functools
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from emotion_lit.utils.console import say
from emotion_lit.utils.files import reason_of, sweep, temporary_name, why_not_writable

VARIABLE = "EMOTION_LIT_CACHE"
# Where the libraries below us keep what they can get again: the variable, its default, and the folder below ours.
# HF_HOME itself stays where it is: the login is in it.
LIBRARY_CACHES = {
    "HF_HUB_CACHE": ("~/.cache/huggingface/hub", "huggingface/hub"),
    "HF_XET_CACHE": ("~/.cache/huggingface/xet", "huggingface/xet"),
    "HF_ASSETS_CACHE": ("~/.cache/huggingface/assets", "huggingface/assets"),
    "HF_DATASETS_CACHE": ("~/.cache/huggingface/datasets", "huggingface/datasets"),
    "HF_MODULES_CACHE": ("~/.cache/huggingface/modules", "huggingface/modules"),
    "MPLCONFIGDIR": ("~/.config/matplotlib", "matplotlib"),
}

# The folders of our cache.
ROOMS = ("tokens", "features", "baselines", "onnx")
# What files and folders in them are called, temporary ones too: by hashes.
OURS = re.compile(r"\.*([0-9a-f]{16}|probe\.)")

# The end of a sealed file: that it is one, and a checksum of all that is before. numpy reads no further than an array
# goes, and to readers of ONNX it is one more entry of the model's `metadata_props`, with a key and no value.
SEAL = "\x72\x1c\x0a\x1aemotion_lit crc32 {:08x}"
SEAL_BYTES = len(SEAL.format(0))
CHUNK_BYTES = 1 << 20

_unwritable_hub: list[Path] = []
_blamed: set[Path] = set()


def cache_dir(chosen: str | Path | None = None) -> Path:
    """The folder of our caches; it may be missing, and it need not be writable.

    Args:
        chosen: What the user chose. By default ``$EMOTION_LIT_CACHE``, or ``emotion_lit`` in the user's cache folder.
    """
    named = chosen or os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111, which raises where there is no home
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "emotion_lit"
    try:
        return Path.home() / ".cache" / "emotion_lit"
    except RuntimeError:  # a user without a home
        return (temporary_dir() or Path()) / "emotion_lit"


def place_library_caches() -> None:
    """Tells the libraries below us where their caches are; for the start of the program, before they are imported.

    With ``$EMOTION_LIT_CACHE`` they are below it, and where a folder cannot be made, in a temporary one. What the user
    has set for a library stays, as long as it can be used.
    """
    own = os.environ.get(VARIABLE)
    for name, (default, below) in LIBRARY_CACHES.items():
        if own and name not in os.environ and not (name.startswith("HF_") and "HF_HOME" in os.environ):
            os.environ[name] = str(cache_dir() / below)
        folder = _folder_of(name, default)
        reads_only = name == "HF_HUB_CACHE" and os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)  # noqa: PTH112
        if not reads_only and not _can_be_made(folder) and (temporary := temporary_dir()):
            os.environ[name] = str(temporary / below)
            if name.startswith("HF_"):
                _unwritable_hub.append(folder)


def say_library_caches() -> None:
    """Says once that what comes from the Hub is kept in a temporary folder, where that is so."""
    if _unwritable_hub:
        is_at_fault(
            _unwritable_hub[0].parent, "cannot be written", "what comes from the Hub is kept until the end only"
        )


def _folder_of(name: str, default: str) -> Path:
    if os.environ.get(name):
        return Path(os.environ[name])
    base, cache = os.environ.get("HF_HOME"), os.environ.get("XDG_CACHE_HOME")
    if name.startswith("HF_") and (base or cache):
        return Path(base or f"{cache}/huggingface") / Path(default).name
    return Path(os.path.expanduser(default))  # noqa: PTH111, which raises where there is no home


def _can_be_made(folder: Path) -> bool:
    """Whether a folder is there and writable, or could be made; nothing is written for those who will not need it."""
    if str(folder).startswith("~"):  # there is no home
        return False
    # Not pathlib's own, which raise where a folder above cannot be entered.
    existing = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))  # noqa: PTH110
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)  # noqa: PTH112


def writable_dir(folder: Path) -> Path | None:
    """A folder to keep things in: the one that is asked for, else a temporary one, which is said in a line.

    Args:
        folder: A cache folder, or one below it.

    Returns:
        The folder, which is there now; None where no folder can be written.
    """
    reason = why_not_writable(folder)
    if reason is None:
        return folder
    temporary = temporary_dir()
    is_at_fault(
        folder, f"cannot be written: {reason}", "going on with a temporary one" if temporary else "going on without it"
    )
    if temporary is None or why_not_writable(temporary / folder.name):
        return None
    return temporary / folder.name


def is_at_fault(folder: Path, what: str, instead: str) -> None:
    """Says that a cache is of no use, once for all that is kept in it.

    Args:
        folder: The folder, or one below it.
        what: What is wrong with it.
        instead: What is done about it.
    """
    whole = next((place.parent for place in (folder, *folder.parents) if place.name in ROOMS), folder)
    if whole not in _blamed:
        _blamed.add(whole)
        say(f"the cache {folder} {what}; {instead}")


def seal(file: Path) -> None:
    """Ends a file with a checksum of its content, so that a flipped bit or a missing part is noticed.

    Args:
        file: A complete ``.npy`` or ``.onnx`` file.

    Raises:
        OSError: It cannot be read, or grow.
    """
    with file.open("rb+") as opened:
        checksum = _checksum(opened, file.stat().st_size)
        opened.seek(0, os.SEEK_END)
        opened.write(SEAL.format(checksum).encode())


def check_seal(file: Path) -> None:
    """Reads a whole file, to see that it is what was sealed.

    Args:
        file: The file.

    Raises:
        ValueError: It is not.
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        checksum = _checksum(opened, max(0, file.stat().st_size - SEAL_BYTES))
        if opened.read() != SEAL.format(checksum).encode():
            raise ValueError("it is not what was written")


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
        sealed: Whether it is sealed, and read as a whole to see that it is what was written.
    """
    with _said_if_damaged(file):
        if sealed:
            check_seal(file)
        return _mapped(file)
    return None


def is_whole(file: Path) -> bool:
    """Whether a sealed file is there, and what was written.

    Args:
        file: The file.
    """
    with _said_if_damaged(file):
        check_seal(file)
        return True
    return False


@contextlib.contextmanager
def _said_if_damaged(file: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError as error:
        is_at_fault(file.parent, f"cannot be read: {reason_of(error)}", "computing it again")
    except (OSError, ValueError, EOFError) as error:
        is_at_fault(file.parent, f"is damaged ({reason_of(error)})", "computing it again")


def _mapped(file: Path) -> npt.NDArray[Any]:
    array: npt.NDArray[Any]
    try:
        array = np.load(file, mmap_mode="r")
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENOMEM):
            raise
        is_at_fault(file.parent, f"cannot be mapped: {reason_of(error)}", "reading it into memory")
        array = np.load(file)
    return array


@functools.cache
def temporary_dir() -> Path | None:
    """A folder that goes when the process ends; None where there is no place for it."""
    try:
        folder = _new_temporary_folder()
    except OSError:
        return None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for a moment; if the process is killed, the next one removes it.

    Raises:
        OSError: There is no place for it.
    """
    folder = _new_temporary_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_temporary_folder() -> Path:
    above = Path(tempfile.gettempdir())
    sweep(above, foreign=False)
    while True:
        folder = temporary_name(above / "emotion_lit")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # of a process that was killed, and had the number of this one
            continue
        return folder
