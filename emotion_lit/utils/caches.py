"""Cache folders, of this package and of the libraries, and temporary folders if a cache is not writable."""

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
# The caches of the libraries: environment variable, default, and the folder inside this package's cache. HF_HOME itself
# is not changed, because it contains the login.
LIBRARY_CACHES = {
    "HF_HUB_CACHE": ("~/.cache/huggingface/hub", "huggingface/hub"),
    "HF_XET_CACHE": ("~/.cache/huggingface/xet", "huggingface/xet"),
    "HF_ASSETS_CACHE": ("~/.cache/huggingface/assets", "huggingface/assets"),
    "HF_DATASETS_CACHE": ("~/.cache/huggingface/datasets", "huggingface/datasets"),
    "HF_MODULES_CACHE": ("~/.cache/huggingface/modules", "huggingface/modules"),
    "MPLCONFIGDIR": ("~/.config/matplotlib", "matplotlib"),
}

# The folders of the cache, one for each kind of content.
KINDS = ("tokens", "features", "baselines", "onnx")
# The names of files and folders in them, temporary ones too: hashes.
ENTRY_NAME = re.compile(r"\.*([0-9a-f]{16}|probe\.)")

_unwritable_hub: list[Path] = []
_warned: set[Path] = set()


def cache_dir(chosen: str | Path | None = None) -> Path:
    """The cache folder of this package; it may be missing or read-only.

    Args:
        chosen: The folder that the user chose. By default ``$EMOTION_LIT_CACHE``, or ``emotion_lit`` in the user's
            cache folder, where the system keeps such folders.
    """
    named = chosen or os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111, which raises if there is no home
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
    """The default cache folder of earlier versions, if it exists and differs from the current one."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111, as above
    folder, default = Path(base) / NAME, _default_dir()
    if folder == default or (default.exists() and folder.exists() and folder.samefile(default)):
        return None
    return folder if any((folder / kind).is_dir() for kind in KINDS) else None


def set_library_caches() -> None:
    """Sets the cache folders of the libraries, at the start of the program, before they are imported.

    They are inside ``$EMOTION_LIT_CACHE`` if it is set; a folder that cannot be created is replaced by a temporary one.
    A folder that the user has set for a library is kept if it is usable.
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
    """Warns once if downloads from the Hub go to a temporary folder."""
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
    return Path(os.path.expanduser(default))  # noqa: PTH111, which raises if there is no home


def _can_be_made(folder: Path) -> bool:
    """Whether a folder is writable or could be created; it is not created, because it may not be needed."""
    if str(folder).startswith("~"):  # there is no home
        return False
    # pathlib's `exists` raises an error if a parent folder is not accessible.
    existing = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))  # noqa: PTH110
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)  # noqa: PTH112


def writable_dir(folder: Path) -> Path | None:
    """Creates a cache folder, or a temporary one with a warning if it is not writable.

    Args:
        folder: A cache folder, or one below it.

    Returns:
        The folder, which exists; None if no folder is writable.
    """
    reason = why_not_writable(folder)
    if reason is None:
        return folder
    temporary = temporary_dir()
    warn_unusable(
        folder,
        f"cannot be written: {reason}",
        "using a temporary folder instead" if temporary else "continuing without it",
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
    """A folder that is removed when the process ends; None if it cannot be created."""
    try:
        folder = _new_temporary_folder()
    except OSError:
        return None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder; if the process is killed, a later process removes it.

    Raises:
        OSError: It cannot be created.
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
        except FileExistsError:  # left by a killed process with the same id
            continue
        return folder
