"""Settings that are paths, in which `~` is expanded to the home folder."""

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError

# Settings that are read; they may also be Hub ids, `embedded`, `sample` or `-`.
READ = ("model.backbone", "data.backbone", "data.dataset", "data.predict_path", "ckpt_path", "backbone", "runs")
WRITTEN = (
    *("trainer.default_root_dir", "checkpoint.dirpath", "data.cache_dir", "evaluation.path", "prediction.path"),
    *("output", "cache_dir"),
)
# Settings with Lightning objects that write files, and the names of their folder arguments.
OBJECTS = ("trainer.callbacks", "trainer.logger", "trainer.profiler")
FOLDERS = ("dirpath", "save_dir", "root_dir")
REMOTE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


def expanded(path: Any) -> Any:
    """Expands `~` at the start of a path; other paths are returned unchanged.

    Args:
        path: A path, several paths, or None.

    Raises:
        UserError: There is no such home folder.
    """
    if isinstance(path, list | tuple):
        return [expanded(one) for one in path]
    if not isinstance(path, str | os.PathLike) or not str(path).startswith("~"):
        return path
    whole = os.path.expanduser(path)  # noqa: PTH111, which raises if there is no home
    if str(whole).startswith("~"):
        raise UserError(f"{path}: there is no such home folder; give the whole path")
    return Path(whole) if isinstance(path, Path) else whole


def expand_all(settings: MutableMapping[str, Any]) -> None:
    """Expands the paths among the settings of a command, and rejects remote folders for output.

    Args:
        settings: The settings, by their dotted keys.

    Raises:
        UserError: There is no such home folder, or an output folder is remote.
    """
    for key in (*READ, *WRITTEN):
        if settings.get(key) is not None:
            settings[key] = expanded(settings[key])
            on_cluster = key == "prediction.path" and settings.get("prediction.cluster") is not None
            if key in WRITTEN and REMOTE.match(str(settings[key])) and not on_cluster:
                raise UserError(
                    f"{key} is {settings[key]}, but output can only be written to a local folder; give one, and copy "
                    "it afterward, or mount the storage"
                )
    for key in OBJECTS:
        for arguments in _arguments_of(settings.get(key)):
            for name in FOLDERS:
                if arguments.get(name) is not None:
                    arguments[name] = expanded(arguments[name])


def _arguments_of(objects: Any) -> Iterator[Any]:
    for one in objects if isinstance(objects, list) else [objects]:
        arguments = one.get("init_args") if isinstance(one, Mapping) or hasattr(one, "get") else None
        if arguments is not None:
            yield arguments
