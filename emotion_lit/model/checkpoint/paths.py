"""Paths in the settings of a checkpoint: relative, and found again from any working folder."""

import copy
import os
from pathlib import Path
from typing import Any

from emotion_lit.model.checkpoint.keys import DATA_KEY, KEY, MODEL_KEY, TRAINER_KEY, Checkpoint

# Settings that may be paths.
PATH_SETTINGS = {
    MODEL_KEY: ("backbone",),
    DATA_KEY: ("dataset",),
    TRAINER_KEY: ("checkpoint.dirpath",),
}


def portable(section: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with absolute paths made relative to the working folder.

    Args:
        section: A key of `PATH_SETTINGS`.
        settings: Plain values.
    """
    plain = copy.deepcopy(settings)
    for key in PATH_SETTINGS[section]:
        holder, name, path = _setting(plain, key)
        if path:
            holder[name] = relative_path(path)
    return plain


def relative_path(path: str | os.PathLike[str]) -> str:
    """A path relative to the working folder; only its name if there is no relative path, on another drive.

    Args:
        path: The path of a file or a folder, or the name of something that is neither.
    """
    name = os.fspath(path)
    if not Path(name).is_absolute():
        return name.replace(os.sep, "/")
    return _relative(name, os.curdir) or Path(name).name


def _relative(path: str, start: str) -> str | None:
    """The relative path from a folder; None on another drive of Windows."""
    try:
        return os.path.relpath(path, start).replace(os.sep, "/")
    except ValueError:
        return None


def _setting(settings: dict[str, Any], key: str) -> tuple[dict[str, Any], str, Any]:
    """The dict that contains a setting, its name there, and its value or None."""
    *outer, name = key.split(".")
    for part in outer:
        settings = settings.get(part) or {}
    return settings, name, settings.get(name)


def remember_paths(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Stores the paths in the settings relative to the checkpoint's folder, so that they are found from any folder.

    Args:
        checkpoint: A checkpoint that has its settings.
        folder: The folder that it is going to be in.
    """
    relative: dict[str, str] = {}
    for section, keys in PATH_SETTINGS.items():
        for key in keys:
            path = _setting(checkpoint.get(section) or {}, key)[2]
            if path and Path(path).exists():
                found = _relative(str(Path(path).absolute()), os.path.realpath(folder))
                relative |= {f"{section}.{key}": found} if found else {}
    checkpoint[KEY]["paths"] = relative


def find_paths(checkpoint: Checkpoint, file: Path) -> None:
    """Replaces paths that do not exist from the working folder by those that exist from the checkpoint's folder."""
    for place, stored in checkpoint[KEY]["paths"].items():
        section, key = place.split(".", 1)
        holder, name, path = _setting(checkpoint.get(section) or {}, key)
        found = Path(os.path.normpath(Path(os.path.realpath(file.parent), stored)))
        if path and not Path(path).exists() and found.exists():
            holder[name] = _relative(str(found), os.curdir) or str(found)
