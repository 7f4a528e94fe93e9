"""Files that are written whole or not at all, beside their names."""

import contextlib
import errno
import functools
import hashlib
import itertools
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

# On Windows, a scanner, an indexer or a sync client may hold a fresh file for a moment.
RETRY_SECONDS = 1.0
# What another machine has not touched for so long is nobody's any more.
LEFT_OVER_SECONDS = 24 * 3600.0
UNFINISHED = re.compile(r"^\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.part$")
# An old folder whose place a new one was about to take; a kill in between leaves it, and the sweep puts it back.
REPLACED = re.compile(r"^\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.old$")
# How an error says which file it is about.
WRITING = "while writing "

_numbers = itertools.count()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, which takes its name only when it is complete and on the disk.

    Killed anywhere, the name stands for the old content or the new one. A link is written through.

    Args:
        path: The name. The file is written beside it, so that it never crosses file systems.
    """
    path = Path(os.path.realpath(path))
    sweep(path.parent)
    unfinished = temporary_name(path)
    try:
        yield unfinished
        _flush(unfinished)
        _publish(unfinished, path)
    except BaseException as error:
        error.add_note(f"{WRITING}{path}")  # the system names a file where it is opened, and not where it grows
        with contextlib.suppress(OSError):
            _remove(unfinished)
        raise


def write_text(path: Path, text: str) -> None:
    r"""Writes a text file at once, in UTF-8 and with ``\n`` on every platform.

    Args:
        path: The file.
        text: Its content.
    """
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")


def reserve(path: Path, size: int) -> None:
    """Takes room on the disk for a file that will be mapped; a disk that is full later would end the process (SIGBUS).

    Args:
        path: The file.
        size: Its bytes.

    Raises:
        OSError: There is no room.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise


def replace(source: Path, target: Path) -> None:
    """Gives a file or a folder a name, in the place of what has it; tries for a second where that is refused.

    Args:
        source: What to rename.
        target: The new name, on the same file system.

    Raises:
        OSError: It cannot be renamed.
    """
    ends = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            os.replace(source, target)  # noqa: PTH105, where the tests refuse it
            return
        except PermissionError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def link(source: Path, target: Path) -> None:
    """Gives a file a second name, in the place of what has it; a copy where the file system has no hard links.

    Args:
        source: The file.
        target: The second name.

    Raises:
        OSError: It cannot be written.
    """
    linked = temporary_name(target)
    try:
        os.link(source, linked)
    except OSError:
        with atomic_path(target) as unfinished:
            shutil.copyfile(source, unfinished)
    else:
        replace(linked, target)


def temporary_name(path: Path) -> Path:
    """A hidden name beside a path that is nobody else's, and that tells which process it belongs to.

    Args:
        path: The path.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{next(_numbers)}.part")


@functools.cache
def sweep(folder: Path, foreign: bool = True) -> None:
    """Removes what killed processes have left of files that they were writing; looks once in each folder.

    Args:
        folder: The folder.
        foreign: Whether also to remove what another machine has not touched for long.
    """
    with contextlib.suppress(OSError):
        entries = list(os.scandir(folder))
        for entry in entries:
            match = REPLACED.match(entry.name)
            if match and _is_left_over(match, entry, foreign):
                with contextlib.suppress(OSError):
                    _put_back(Path(entry.path), folder / match["name"])
        for entry in entries:
            match = UNFINISHED.match(entry.name)
            if match and _is_left_over(match, entry, foreign):
                with contextlib.suppress(OSError):
                    _remove(Path(entry.path))


def _put_back(old: Path, path: Path) -> None:
    if path.exists():
        _remove(old)
    else:
        replace(old, path)


def is_in_use(entry: os.DirEntry[str]) -> bool:
    """Whether a file or a folder is what a living process is writing, by its name.

    Args:
        entry: The file or folder.
    """
    match = UNFINISHED.match(entry.name) or REPLACED.match(entry.name)
    return match is not None and not _is_left_over(match, entry)


def _is_left_over(match: re.Match[str], entry: os.DirEntry[str], foreign: bool = True) -> bool:
    if match["machine"] != _machine():  # on a shared disk
        return foreign and time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_OVER_SECONDS
    import psutil

    return not psutil.pid_exists(int(match["process"]))


@functools.cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _flush(path: Path) -> None:
    """Waits until a file, or all files of a folder, are on the disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _publish(unfinished: Path, path: Path) -> None:
    if unfinished.is_dir() and path.exists():  # only an empty folder can be replaced at once
        old = temporary_name(path).with_suffix(".old")
        replace(path, old)
        try:
            replace(unfinished, path)
        except BaseException:
            replace(old, path)
            raise
        with contextlib.suppress(OSError):  # what another program has open, Windows removes later, by the sweep
            _remove(old)
    else:
        replace(unfinished, path)
    _flush_names(path.parent)


def _flush_names(folder: Path) -> None:
    """Makes the names in a folder outlast a power failure, where the platform can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def why_not_writable(folder: Path) -> str | None:
    """Why no file can be made in a folder, which is made if it is missing; None where one can.

    Args:
        folder: The folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # `tempfile` would try two billion names where Windows denies access (cpython#66305).
        probe = temporary_name(folder / "probe")
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        return reason_of(error)
    with contextlib.suppress(OSError):  # a scanner of Windows may hold it for a moment; the sweep takes it later
        probe.unlink()
    return None


def reason_of(error: BaseException) -> str:
    """What an error says, in a few words.

    Args:
        error: The error.
    """
    return getattr(error, "strerror", None) or str(error).strip().split("\n")[0][:200] or type(error).__name__
