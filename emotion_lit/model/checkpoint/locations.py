"""Finds checkpoints: the file that a path means, and the run folder of a file."""

import os
from pathlib import Path

import yaml

from emotion_lit.errors import UserError
from emotion_lit.utils.commands import command_line, finish_advice
from emotion_lit.utils.paths import expanded


def find_checkpoint(path: str | Path, name: str = "best.ckpt") -> Path:
    """The checkpoint file for a path.

    Args:
        path: A checkpoint, or a run folder.
        name: The checkpoint to take from a run folder.

    Raises:
        UserError: There is none.
    """
    path = expanded(path)
    file = Path(path)
    if is_export(file):
        raise UserError(
            f"{path} is an export, which `predict` and `load` take; give the checkpoint that it was made of (to train "
            "on from an export for transformers, give it as model.backbone)"
        )
    if file.is_dir():
        places = [file / "checkpoints" / name, file / name, *_other_folder(file, name)]
        file = next((place for place in places if place.is_file()), places[0])
    run = _run_of(Path(path))
    if (run / "config.yaml").is_file() and not file.is_file():
        raise UserError(f"the run {run} has no {file.name}: {finish_advice(run)}")
    if not file.is_file():
        newest = newest_checkpoint(name)
        hint = f"the newest here is {newest}" if newest else "train one with: python -m emotion_lit fit"
        raise UserError(f"there is no checkpoint {path}; {hint}")
    return file


def newest_checkpoint(name: str = "best.ckpt") -> str | None:
    """The newest checkpoint of the runs in the working folder, as it is typed; None if there are no runs.

    Args:
        name: The name of the checkpoint.
    """
    found = sorted(Path("logs").glob(f"*/version_*/checkpoints/{name}"), key=os.path.getmtime)
    return command_line(found[-1]) if found else None


def is_export(path: str | Path) -> bool:
    """Whether a folder is one that `export` wrote, by the names of its files.

    Args:
        path: A path.
    """
    folder = Path(expanded(path))
    return (folder / "labels.json").is_file() or (
        (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()
    )


def _run_of(path: Path) -> Path:
    """The run folder that a path would belong to: the path itself, or the parent of its `checkpoints` folder."""
    return next((folder.parent for folder in (path, path.parent) if folder.name == "checkpoints"), path)


def _other_folder(run: Path, name: str) -> list[Path]:
    """The best checkpoint of a run that was trained with `checkpoint.dirpath`."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        return [Path(config["checkpoint"]["dirpath"]) / name]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return []


def run_folder(checkpoint: str | Path) -> Path | None:
    """The run folder of a checkpoint; None if the checkpoint has been moved out of it.

    Args:
        checkpoint: The checkpoint.
    """
    run = from_here(Path(checkpoint).resolve().parent.parent)
    return run if (run / "config.yaml").is_file() else None


def from_here(path: Path) -> Path:
    """A path relative to the working folder if it is inside it, else absolute.

    Args:
        path: An absolute or relative path.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
