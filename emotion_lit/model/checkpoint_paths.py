"""Paths in the settings of a checkpoint: found again from any working folder, and none of them absolute."""

import copy
import os
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError

# The key under which our own part stands, beside Lightning's.
KEY = "emotion_lit"
FORMAT = 1
MODEL_KEY = "hyper_parameters"
DATA_KEY = "datamodule_hyper_parameters"
TRAINER_KEY = "trainer_parameters"
# Where Lightning keeps, in a checkpoint whose weights are averages, those that train, and the count.
CURRENT, AVERAGING = "current_model_state", "averaging_state"
# Settings that may be paths; no other is taken for one, whatever it looks like.
PATH_SETTINGS = {
    MODEL_KEY: ("backbone",),
    DATA_KEY: ("dataset",),
    TRAINER_KEY: ("checkpoint.dirpath",),
}

Checkpoint = dict[str, Any]


def portable(section: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without absolute paths: these become relative to the working folder.

    Args:
        section: Whose settings they are: one of the keys of `PATH_SETTINGS`.
        settings: Plain values.
    """
    plain = copy.deepcopy(settings)
    for key in PATH_SETTINGS[section]:
        holder, name, path = _setting(plain, key)
        if path:
            holder[name] = relative_path(path)
    return plain


def relative_path(path: str | os.PathLike[str]) -> str:
    """A path as it is, but an absolute one relative to the working folder; its name alone where no way leads there.

    Args:
        path: The path of a file or a folder, or the name of something that is neither.
    """
    name = os.fspath(path)
    if not Path(name).is_absolute():
        return name.replace(os.sep, "/")
    return _way(name, os.curdir) or Path(name).name


def _way(path: str, start: str) -> str | None:
    """The way from a folder to a path; None on another drive of Windows."""
    try:
        return os.path.relpath(path, start).replace(os.sep, "/")
    except ValueError:
        return None


def _setting(settings: dict[str, Any], key: str) -> tuple[dict[str, Any], str, Any]:
    """Where a setting is, its name there, and its value, None where there is none."""
    *outer, name = key.split(".")
    for part in outer:
        settings = settings.get(part) or {}
    return settings, name, settings.get(name)


def remember_paths(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Keeps the ways from a checkpoint's own folder to files and folders in its settings, so that any folder will do.

    Args:
        checkpoint: A checkpoint that has its settings.
        folder: The folder that it is going to be in.
    """
    ways: dict[str, str] = {}
    for section, keys in PATH_SETTINGS.items():
        for key in keys:
            path = _setting(checkpoint.get(section) or {}, key)[2]
            way = _way(str(Path(path).absolute()), os.path.realpath(folder)) if path and Path(path).exists() else None
            if way:
                ways[f"{section}.{key}"] = way
    checkpoint[KEY]["paths"] = ways


def find_paths(checkpoint: Checkpoint, file: Path) -> None:
    """Puts paths in place of settings that lead nowhere from the working folder, but do from the checkpoint's."""
    for place, way in checkpoint[KEY].get("paths", {}).items():
        section, key = place.split(".", 1)
        holder, name, path = _setting(checkpoint.get(section) or {}, key)
        found = Path(os.path.normpath(Path(os.path.realpath(file.parent), way)))
        if path and not Path(path).exists() and found.exists():
            holder[name] = _way(str(found), os.curdir) or str(found)


def check_backbone(backbone: str, checkpoint: Checkpoint) -> None:
    """Checks that the folder of a base model is where it was.

    Args:
        backbone: The backbone that is asked for.
        checkpoint: What was trained on it.

    Raises:
        UserError: It is not.
    """
    was_folder = f"{MODEL_KEY}.backbone" in checkpoint[KEY].get("paths", {})
    if was_folder and backbone == checkpoint[MODEL_KEY]["backbone"] and not Path(backbone).is_dir():
        name = backbone.rsplit("/", 1)[-1] if backbone.startswith("..") else backbone
        raise UserError(
            f"the base model that the checkpoint was trained on, the folder {name} (weights "
            f"{checkpoint[KEY]['backbone']['network_sha256'][:12]}), is not where it was; give it with "
            "--model.backbone FOLDER"
        )
