"""`python -m emotion_lit cache`: shows the size of the cache, and clears it."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from emotion_lit.errors import UserError, unknown
from emotion_lit.training.settings.parser import EmotionParser
from emotion_lit.utils.caches import ENTRY_NAME, KINDS, LIBRARY_CACHES, cache_dir, earlier_cache_dir
from emotion_lit.utils.commands import COMMANDS, PROGRAM, command_line
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.files import is_in_use, reason_of

ALL = "all"


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: The words after `cache`.
    """
    parser = EmotionParser(prog="python -m emotion_lit cache", description=COMMANDS["cache"])
    parser.add_argument(
        "--clear", nargs="+", default=[], metavar="KIND", help=f"What to remove: {', '.join(KINDS)}, or {ALL}."
    )
    parser.add_argument(
        "--cache_dir", type=str | None, default=None, help="The cache folder, if it is not the default one."
    )
    typed = parser.parse_args(args)
    for name in typed.clear:
        if name not in (*KINDS, ALL):
            raise unknown("--clear", name, (*KINDS, ALL))
    folder = cache_dir(typed.cache_dir)
    rows = _rows(folder)
    if rows[-1][1] == "0":
        say(f"the cache {folder} is empty", wrap=False)
    elif typed.clear:
        clear(folder, KINDS if ALL in typed.clear else typed.clear)
    else:
        show(table(rows))
        say(f"\ncache        {folder}", wrap=False)
    if (earlier := None if typed.cache_dir else earlier_cache_dir()) and not typed.clear:
        remove = command_line(*PROGRAM, "cache", "--cache_dir", earlier, "--clear", ALL)
        say(f"{earlier} is the cache of an earlier version; remove it with: {remove}", wrap=False)


def clear(folder: Path, kinds: Sequence[str]) -> None:
    """Removes files from a cache, and prints how much space that freed.

    Files that running processes are writing are kept, and so are files whose names are not those of this cache: the
    folder may belong to another program.

    Args:
        folder: The cache.
        kinds: Which of its `KINDS`.

    Raises:
        UserError: Something cannot be removed; the rest is.
    """
    freed, busy, refused = 0, 0, []
    for kind in dict.fromkeys(kinds):
        if _is_link(folder / kind):
            say(f"{folder / kind} is a link, and is not followed", wrap=False)
            continue
        for entry in _entries(folder / kind):
            if not ENTRY_NAME.match(entry.name):
                say(f"{entry.path} does not belong to this cache, and is kept", wrap=False)
            elif is_in_use(entry):
                busy += 1
            else:
                size = sum(file.st_size for file in _files(entry))
                try:
                    _remove(entry)
                    freed += size
                except OSError as error:
                    refused.append(f"{entry.path}: {reason_of(error)}")
    say(f"freed {_size(freed)}" + (f"; kept {busy} that running processes are writing" if busy else ""))
    if refused:
        raise UserError(f"{len(refused)} cannot be removed, the first {refused[0]}")


def _remove(entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    except FileNotFoundError:  # another process has removed it
        return


def _rows(folder: Path) -> list[list[str]]:
    """The kinds, those caches of libraries that are in the folder, and a total."""
    folders = {kind: folder / kind for kind in KINDS}
    for variable, (_, below) in LIBRARY_CACHES.items():
        if os.environ.get(variable) == str(folder / below) and (folder / below).is_dir():
            folders[below] = folder / below
    rows, everything = [["", "files", "size", "last used"]], []
    for name, place in folders.items():
        link = _is_link(place)
        found = [] if link else [file for entry in _entries(place) for file in _files(entry)]
        rows.append([f"{name} (a link)" if link else name, *_cells(found)])
        everything += found
    return [*rows, ["total", *_cells(everything)]]


def _cells(found: Sequence[os.stat_result]) -> list[str]:
    # If the system does not record when a file was read, the time of writing counts.
    used = max((max(file.st_atime, file.st_mtime) for file in found), default=None)
    date = "-" if used is None else time.strftime("%Y-%m-%d", time.localtime(used))
    return [f"{len(found):,}", _size(sum(file.st_size for file in found)), date]


def _is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link or a Windows junction, which `is_symlink` does not detect."""
    return folder.exists() and folder.resolve() != folder.parent.resolve() / folder.name


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
