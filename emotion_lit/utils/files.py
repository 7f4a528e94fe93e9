"""Atomic file writes: a file is written to a temporary name next to it, and then renamed."""

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

# On Windows, an antivirus, an indexer or a sync client may briefly lock a new file.
RETRY_SECONDS = 1.0
# Temporary files of another machine are left over if they were not modified for this long.
LEFT_OVER_SECONDS = 24 * 3600.0
UNFINISHED = re.compile(r"^\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.part$")
# The old folder while a new one replaces it. After a kill in between, `sweep` restores it.
REPLACED = re.compile(r"^\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.old$")
# The prefix of the note that adds the file name to an error.
WRITING = "while writing "

_numbers = itertools.count()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path to write a file or a folder to, renamed when it is complete and flushed to the disk.

    If the process is killed, the path has either the old or the new content. Symbolic links are followed.

    Args:
        path: The final path. The temporary path is in the same folder, so that it is on the same file system.
    """
    path = Path(os.path.realpath(path))
    sweep(path.parent)
    unfinished = temporary_name(path)
    try:
        yield unfinished
        _flush(unfinished)
        _publish(unfinished, path)
    except BaseException as error:
        error.add_note(f"{WRITING}{path}")  # errors of opening a file have its name, and errors of writing to it do not
        with contextlib.suppress(OSError):
            _remove(unfinished)
        raise


def write_text(path: Path, text: str) -> None:
    r"""Writes a text file atomically, in UTF-8 and with ``\n`` on every platform.

    Args:
        path: The file.
        text: Its content.
    """
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")


def reserve(path: Path, size: int) -> None:
    """Allocates the disk space of a memory-mapped file; without it, a full disk would kill the process (SIGBUS).

    Args:
        path: The file.
        size: Its size in bytes.

    Raises:
        OSError: There is not enough space.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise


def replace(source: Path, target: Path) -> None:
    """Renames a file or a folder, and replaces the target; retries for a second if access is denied.

    Args:
        source: The file or folder to rename.
        target: The new path, on the same file system.

    Raises:
        OSError: It cannot be renamed.
    """
    ends = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            os.replace(source, target)  # noqa: PTH105, because tests replace os.replace
            return
        except PermissionError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def link(source: Path, target: Path) -> None:
    """Makes a hard link, and replaces the target; a copy if the file system has no hard links.

    Args:
        source: The file.
        target: The path of the link.

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
    """A unique hidden path next to a path; its name contains the machine and the process.

    Args:
        path: The path.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{next(_numbers)}.part")


@functools.cache
def sweep(folder: Path, foreign: bool = True) -> None:
    """Removes the temporary files of killed processes from a folder; each folder is searched once.

    Args:
        folder: The folder.
        foreign: Whether to remove old temporary files of other machines too.
    """
    with contextlib.suppress(OSError):
        entries = list(os.scandir(folder))
        for entry in entries:
            match = REPLACED.match(entry.name)
            if match and _is_left_over(match, entry, foreign):
                with contextlib.suppress(OSError):
                    _restore(Path(entry.path), folder / match["name"])
        for entry in entries:
            match = UNFINISHED.match(entry.name)
            if match and _is_left_over(match, entry, foreign):
                with contextlib.suppress(OSError):
                    _remove(Path(entry.path))


def _restore(old: Path, path: Path) -> None:
    if path.exists():
        _remove(old)
    else:
        replace(old, path)


def is_in_use(entry: os.DirEntry[str]) -> bool:
    """Whether a running process is writing a file or folder, by its temporary name.

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
    """Flushes a file, or all files of a folder, to the disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _publish(unfinished: Path, path: Path) -> None:
    if unfinished.is_dir() and path.exists():  # rename can only replace an empty folder
        old = temporary_name(path).with_suffix(".old")
        replace(path, old)
        try:
            replace(unfinished, path)
        except BaseException:
            replace(old, path)
            raise
        with contextlib.suppress(OSError):  # on Windows, open files are left for a later sweep
            _remove(old)
    else:
        replace(unfinished, path)
    _flush_names(path.parent)


def _flush_names(folder: Path) -> None:
    """Flushes the entries of a folder to the disk, if the platform supports it."""
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
    """Creates a folder if it is missing, and returns the reason if no file can be created in it; else None.

    Args:
        folder: The folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # `tempfile` would try two billion names if Windows denies access (cpython#66305).
        probe = temporary_name(folder / "probe")
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        return reason_of(error)
    with contextlib.suppress(OSError):  # on Windows it may be locked; a later sweep removes it
        probe.unlink()
    return None


def reason_of(error: BaseException) -> str:
    """The message of an error, in a few words.

    Args:
        error: The error.
    """
    return getattr(error, "strerror", None) or str(error).strip().split("\n")[0][:200] or type(error).__name__
