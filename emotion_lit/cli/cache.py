"""`python -m emotion_lit cache`: what the cache keeps, and how to be rid of it."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from emotion_lit.errors import UserError, unknown
from emotion_lit.training.settings.parser import EmotionParser
from emotion_lit.utils.caches import LIBRARY_CACHES, OURS, ROOMS, cache_dir
from emotion_lit.utils.commands import COMMANDS
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.files import is_in_use, reason_of

ALL = "all"


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: What was typed after `cache`.
    """
    parser = EmotionParser(prog="python -m emotion_lit cache", description=COMMANDS["cache"])
    parser.add_argument(
        "--clear", nargs="+", default=[], metavar="ROOM", help=f"What to remove: {', '.join(ROOMS)}, or {ALL} of them."
    )
    parser.add_argument("--cache_dir", type=str | None, default=None, help="The folder, if data.cache_dir is given.")
    typed = parser.parse_args(args)
    for name in typed.clear:
        if name not in (*ROOMS, ALL):
            raise unknown("the room", name, (*ROOMS, ALL))
    folder = cache_dir(typed.cache_dir)
    rows = _rows(folder)
    if rows[-1][1] == "0":
        say(f"the cache {folder} is empty", wrap=False)
    elif typed.clear:
        clear(folder, ROOMS if ALL in typed.clear else typed.clear)
    else:
        show(table(rows))
        say(f"\ncache        {folder}", wrap=False)


def clear(folder: Path, rooms: Sequence[str]) -> None:
    """Removes what is kept in rooms of a cache, and says how much that was.

    What running processes write stays, and so does what is not named like ours: the folder may be another program's.

    Args:
        folder: The cache.
        rooms: Which of its `ROOMS`.

    Raises:
        UserError: Something cannot be removed; the rest is.
    """
    freed, busy, refused = 0, 0, []
    for room in dict.fromkeys(rooms):
        if _is_link(folder / room):
            say(f"{folder / room} is a link, and is not followed", wrap=False)
            continue
        for entry in _entries(folder / room):
            if not OURS.match(entry.name):
                say(f"{entry.path} is not of this cache, and stays", wrap=False)
            elif is_in_use(entry):
                busy += 1
            else:
                size = sum(file.st_size for file in _files(entry))
                try:
                    _remove(entry)
                    freed += size
                except OSError as error:
                    refused.append(f"{entry.path}: {reason_of(error)}")
    say(f"freed {_size(freed)}" + (f"; {busy} that running processes write stay" if busy else ""))
    if refused:
        raise UserError(f"{len(refused)} cannot be removed, the first {refused[0]}")


def _remove(entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    except FileNotFoundError:  # somebody else was faster
        return


def _rows(folder: Path) -> list[list[str]]:
    """The rooms, those caches of libraries that are in the folder, and a total."""
    rooms = {room: folder / room for room in ROOMS}
    for variable, (_, below) in LIBRARY_CACHES.items():
        if os.environ.get(variable) == str(folder / below) and (folder / below).is_dir():
            rooms[below] = folder / below
    rows, everything = [["", "files", "size", "last used"]], []
    for name, room in rooms.items():
        link = _is_link(room)
        found = [] if link else [file for entry in _entries(room) for file in _files(entry)]
        rows.append([f"{name} (a link)" if link else name, *_cells(found)])
        everything += found
    return [*rows, ["total", *_cells(everything)]]


def _cells(found: Sequence[os.stat_result]) -> list[str]:
    # Where the system does not note when a file is read, it is when it was written.
    used = max((max(file.st_atime, file.st_mtime) for file in found), default=None)
    date = "-" if used is None else time.strftime("%Y-%m-%d", time.localtime(used))
    return [f"{len(found):,}", _size(sum(file.st_size for file in found)), date]


def _is_link(room: Path) -> bool:
    """Also a junction of Windows, which `is_symlink` does not know."""
    return room.exists() and room.resolve() != room.parent.resolve() / room.name


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"the cache {folder} cannot be read: {reason_of(error)}") from error


def _files(entry: os.DirEntry[str]) -> Iterator[os.stat_result]:
    """All files in a folder, or the file itself; links are none."""
    if entry.is_dir(follow_symlinks=False):
        for inner in _entries(entry.path):
            yield from _files(inner)
    elif entry.is_file(follow_symlinks=False):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        yield status


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
