"""Cache folders, ours and those of the libraries, and temporary ones where a cache cannot be written."""

import atexit
import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from emotion_lit.utils.console import say
from emotion_lit.utils.files import sweep, temporary_name, why_not_writable

VARIABLE = "EMOTION_LIT_CACHE"
NAME = "emotion_lit"
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

# The folders of our cache, one for each kind of content.
KINDS = ("tokens", "features", "baselines", "onnx")
# The names of files and folders in them, temporary ones too: hashes.
ENTRY_NAME = re.compile(r"\.*([0-9a-f]{16}|probe\.)")

_unwritable_hub: list[Path] = []
_warned: set[Path] = set()


def cache_dir(chosen: str | Path | None = None) -> Path:
    """The folder of our caches; it may be missing, and it need not be writable.

    Args:
        chosen: The folder that the user chose. By default ``$EMOTION_LIT_CACHE``, or ``emotion_lit`` in the user's
            cache folder, where the system keeps such folders.
    """
    named = chosen or os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111, which raises where there is no home
    return _default_dir()


def _default_dir() -> Path:
    try:
        folder = platformdirs.user_cache_dir(NAME, appauthor=False)
    except RuntimeError:
        folder = "~"
    if folder.startswith("~"):  # the user has no home; not every release of platformdirs raises an error
        return (temporary_dir() or Path()) / NAME
    return Path(folder)


def earlier_cache_dir() -> Path | None:
    """The default cache of earlier versions, where it is another folder than today's; None where there is none."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111, as above
    folder, default = Path(base) / NAME, _default_dir()
    if folder == default or (default.exists() and folder.exists() and folder.samefile(default)):
        return None
    return folder if any((folder / kind).is_dir() for kind in KINDS) else None


def set_library_caches() -> None:
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


def report_library_caches() -> None:
    """Warns once where downloads from the Hub are kept in a temporary folder."""
    if _unwritable_hub:
        warn_unusable(
            _unwritable_hub[0].parent,
            "cannot be written",
            "downloads from the Hub are kept until the end of this process",
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
    warn_unusable(
        folder, f"cannot be written: {reason}", "going on with a temporary one" if temporary else "going on without it"
    )
    if temporary is None or why_not_writable(temporary / folder.name):
        return None
    return temporary / folder.name


def warn_unusable(folder: Path, what: str, instead: str) -> None:
    """Warns that a cache cannot be used, once for each cache.

    Args:
        folder: The folder, or one below it.
        what: The problem, such as ``is damaged``.
        instead: How the run continues.
    """
    whole = next((place.parent for place in (folder, *folder.parents) if place.name in KINDS), folder)
    if whole not in _warned:
        _warned.add(whole)
        say(f"the cache {folder} {what}; {instead}")


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
