"""What a checkpoint carries so that it loads anywhere, and the checks that it is whole."""

import copy
import hashlib
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion_lit import __version__
from emotion_lit.console import say
from emotion_lit.errors import UserError
from emotion_lit.files import atomic_path
from emotion_lit.model.backbone import tensor_bytes

# The key under which our own part stands, beside Lightning's.
KEY = "emotion_lit"
FORMAT = 1
MODEL_KEY = "hyper_parameters"
DATA_KEY = "datamodule_hyper_parameters"
TRAINER_KEY = "trainer_parameters"
# Settings that may be paths; no other is taken for one, whatever it looks like.
PATH_SETTINGS = {
    MODEL_KEY: ("backbone",),
    DATA_KEY: ("dataset",),
    TRAINER_KEY: ("checkpoint.dirpath",),
}
# What a checkpoint's weights were made for; other settings may be changed when it is loaded.
FIXED_SETTINGS = ("labels", "multi_label", "tuning", "pooling", "lora", "trainable_layers")

# From which a run goes on, and the one before it, for the case that it is damaged.
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

Checkpoint = dict[str, Any]

# PyTorch writes zip archives.
ZIP_MAGIC = b"PK\x03\x04"


def find_checkpoint(path: str | Path, name: str = "best.ckpt") -> Path:
    """The checkpoint file that a person means.

    Args:
        path: A checkpoint, or a run folder.
        name: Which checkpoint a run folder stands for.

    Raises:
        UserError: There is none.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "checkpoints" / name
    if not file.is_file():
        found = sorted(Path("logs").glob("*/version_*/checkpoints/best.ckpt"), key=os.path.getmtime)
        hint = f"; the newest here is {found[-1]}" if found else "; train one with: python -m emotion_lit fit"
        raise UserError(f"there is no checkpoint {path}{hint}")
    return file


def run_folder(checkpoint: str | Path) -> Path | None:
    """The folder of the run that a checkpoint is of; None for one that was carried elsewhere.

    Args:
        checkpoint: The checkpoint.
    """
    run = from_here(Path(checkpoint).resolve().parent.parent)
    return run if (run / "config.yaml").is_file() else None


def from_here(path: Path) -> Path:
    """A path as a person in the working folder would type it: relative where it is below, else absolute.

    Args:
        path: An absolute path, or one that is relative already.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint, executing nothing in it.

    Args:
        path: A checkpoint, or a run folder.

    Raises:
        UserError: It is missing, damaged, or was not written by this package.
    """
    file = find_checkpoint(path)
    checkpoint = _read(file)
    _find_paths(checkpoint, file)
    return checkpoint


def read_to_go_on(path: str | Path) -> tuple[Path, Checkpoint]:
    """Reads the newest whole checkpoint of a run, which is the one before the last where the last is damaged.

    Args:
        path: A checkpoint, or a run folder.

    Returns:
        The file and what it holds.

    Raises:
        UserError: There is none.
    """
    named = Path(path)
    last = named / "checkpoints" / LAST if named.is_dir() else named
    previous = last.with_name(PREVIOUS)
    try:
        file = find_checkpoint(path, LAST)
        return file, read_checkpoint(file)
    except UserError as error:
        if last.name != LAST or not previous.is_file():
            raise
        checkpoint = read_checkpoint(previous)
        say(f"{error}\ngoing on from {previous}, the one before it", wrap=False)
        return previous, checkpoint


def check_whole(file: Path) -> None:
    """Checks that a checkpoint is as it was written, by the checksums that PyTorch's archives have.

    Args:
        file: The checkpoint.

    Raises:
        UserError: It is truncated or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(f"{file} is truncated or damaged; copy it again from where it was made") from error
    if damaged:
        raise UserError(f"{file} is damaged: {damaged} is not what was saved; copy it again from where it was made")


def _read(file: Path) -> Checkpoint:
    """Reads a checkpoint as it was written."""
    with file.open("rb") as raw:
        if raw.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            raise UserError(f"{file} is not a checkpoint; give one that `python -m emotion_lit fit` wrote")
    check_whole(file)
    try:
        checkpoint: Checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file} holds more than weights and settings; it is not one of ours") from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{file} is truncated or damaged; copy it again from where it was made") from error
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise UserError(f"{file} is a checkpoint of another program; give one that `python -m emotion_lit fit` wrote")
    if checkpoint[KEY]["format"] > FORMAT:
        raise UserError(f"{file} was written by emotion_lit {checkpoint[KEY]['version']}; upgrade to read it")
    if checkpoint[KEY]["weights_sha256"] != weights_sha256(checkpoint["state_dict"]):
        raise UserError(f"{file} is damaged: its weights are not those that were saved; copy it again")
    _find_paths(checkpoint, file)
    return checkpoint


def describe(
    checkpoint: Checkpoint,
    model: dict[str, Any],
    data: dict[str, Any],
    identity: dict[str, Any],
    files: dict[str, Any],
    folder: str | Path,
) -> None:
    """Adds to a checkpoint what it needs to be loaded anywhere.

    Args:
        checkpoint: What Lightning saves, with the weights that are kept.
        model: The model's settings.
        data: The data's.
        identity: The backbone's name and hashes.
        files: The backbone's small files, where the checkpoint needs no base model.
        folder: The folder that it is going to be in.
    """
    checkpoint |= {MODEL_KEY: model, DATA_KEY: data}
    for section in PATH_SETTINGS:
        if section in checkpoint:
            checkpoint[section] = portable(section, checkpoint[section])
    checkpoint[KEY] = {
        "format": FORMAT,
        "version": __version__,
        "backbone": identity,
        "files": files,
        "weights_sha256": weights_sha256(checkpoint["state_dict"]),
    }
    remember_paths(checkpoint, folder)


def amend(file: Path, model: dict[str, Any]) -> None:
    """Changes settings of the model in a checkpoint; killed anywhere, it is the old one or the new one.

    Args:
        file: The checkpoint.
        model: The settings to change, none of them a path.
    """
    checkpoint = _read(file)
    checkpoint[MODEL_KEY] |= model
    with atomic_path(file) as unfinished:
        torch.save(checkpoint, unfinished)


def check_settings(settings: dict[str, Any], saved: dict[str, Any]) -> None:
    """Checks that a model's settings suit the weights of a checkpoint.

    Args:
        settings: The model's.
        saved: Those that the checkpoint was trained with.

    Raises:
        UserError: One that cannot be changed differs.
    """
    for key in FIXED_SETTINGS:
        if settings[key] != saved.get(key):
            raise UserError(
                f"the checkpoint was trained with model.{key} {saved.get(key)}, which cannot be changed to "
                f"{settings[key]}; leave it out, or train anew"
            )


def check_identity(identity: dict[str, Any], saved: dict[str, Any]) -> None:
    """Checks that a backbone is the one that a checkpoint was trained on.

    Args:
        identity: The backbone's name and hashes.
        saved: Those that the checkpoint keeps.

    Raises:
        UserError: It is another one.
    """
    for key, what in (("network_sha256", "weights"), ("tokenizer_sha256", "tokenizer")):
        if saved[key] != identity[key]:
            raise UserError(
                f"the checkpoint was trained on the backbone {saved['name']} ({what} {saved[key][:12]}), but the "
                f"{what} of {identity['name']} are {identity[key][:12]}; give the original with model.backbone"
            )


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """A hash of named tensors.

    Args:
        weights: The tensors.
    """
    content = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        content.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        content.update(tensor_bytes(tensor))
    return content.hexdigest()


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


def _find_paths(checkpoint: Checkpoint, file: Path) -> None:
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


def remembered_settings(checkpoint: Checkpoint, subcommand: str) -> dict[str, Any]:
    """What a checkpoint remembers, as defaults for the command line, by dotted key.

    Args:
        checkpoint: The checkpoint.
        subcommand: ``fit`` also remembers what concerns the Trainer, so that a resumed run is the same run.
    """
    model, data = dict(checkpoint[MODEL_KEY]), dict(checkpoint[DATA_KEY])
    data["classes"] = model.pop("labels")
    del model["multi_label"]  # comes from the data
    settings: dict[str, Any] = {"model": model, "data": data}
    if subcommand == "fit":
        settings |= checkpoint.get(TRAINER_KEY, {})
    return _flat(settings)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value  # None too, which may have been typed where the default is another
    return flat
