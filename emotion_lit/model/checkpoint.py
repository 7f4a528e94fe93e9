"""What a checkpoint carries so that it loads anywhere, and the checks that it is whole."""

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
import yaml

from emotion_lit import __version__
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint_contents import OddError, check_archive, check_contents, files_sha256

# Those with `as` are for whoever looks for them here too.
from emotion_lit.model.checkpoint_paths import CURRENT as CURRENT
from emotion_lit.model.checkpoint_paths import DATA_KEY as DATA_KEY
from emotion_lit.model.checkpoint_paths import FORMAT, PATH_SETTINGS, find_paths, remember_paths
from emotion_lit.model.checkpoint_paths import KEY as KEY
from emotion_lit.model.checkpoint_paths import MODEL_KEY as MODEL_KEY
from emotion_lit.model.checkpoint_paths import TRAINER_KEY as TRAINER_KEY
from emotion_lit.model.checkpoint_paths import Checkpoint as Checkpoint
from emotion_lit.model.checkpoint_paths import check_backbone as check_backbone
from emotion_lit.model.checkpoint_paths import portable as portable
from emotion_lit.model.checkpoint_paths import relative_path as relative_path
from emotion_lit.model.checkpoint_weights import weights_sha256 as weights_sha256
from emotion_lit.utils.commands import command_line, how_to_end
from emotion_lit.utils.console import say
from emotion_lit.utils.files import atomic_path
from emotion_lit.utils.paths import expanded

# What a checkpoint's weights were made for; other settings may be changed when it is loaded.
FIXED_SETTINGS = ("labels", "multi_label", "tuning", "pooling", "lora", "trainable_layers")

# From which a run goes on, and the one before it, for the case that it is damaged.
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

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
        raise UserError(f"the run {run} has no {file.name}: {how_to_end(run)}")
    if not file.is_file():
        found = sorted(Path("logs").glob(f"*/version_*/checkpoints/{name}"), key=os.path.getmtime)
        hint = (
            f"; the newest here is {command_line(found[-1])}"
            if found
            else "; train one with: python -m emotion_lit fit"
        )
        raise UserError(f"there is no checkpoint {path}{hint}")
    return file


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
    """The folder of the run that a path would be of, if it is of one: the path, or what its checkpoints are in."""
    return next((folder.parent for folder in (path, path.parent) if folder.name == "checkpoints"), path)


def _other_folder(run: Path, name: str) -> list[Path]:
    """Where the best checkpoint of a run is that has `checkpoint.dirpath`."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        return [Path(config["checkpoint"]["dirpath"]) / name]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return []


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
    find_paths(checkpoint, file)
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
    named = Path(expanded(path))
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
            check_archive(archive, file.stat().st_size)
            damaged = archive.testzip()
    except OddError as error:
        raise UserError(f"{file} is not as PyTorch writes it: {error}; get it again from who trained it") from error
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
    _check_format(checkpoint[KEY], file)
    try:
        check_contents(checkpoint)
    except OddError as error:
        raise UserError(f"{file} is not as a training writes it: {error}; get it again from who trained it") from error
    if checkpoint[KEY]["weights_sha256"] != weights_sha256(checkpoint["state_dict"]):
        raise UserError(f"{file} is damaged: its weights are not those that were saved; copy it again")
    find_paths(checkpoint, file)
    return checkpoint


def _check_format(own: Any, file: Path) -> None:
    number, version = (own.get("format"), own.get("version")) if isinstance(own, dict) else (None, None)
    if type(number) is int and number > FORMAT and isinstance(version, str):
        raise UserError(f"{file} was written by emotion_lit {version[:40]}; upgrade to read it")


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
        "files_sha256": files_sha256(files),
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
    """Checks that a model's settings suit the weights of a checkpoint; prints a note where they change predictions.

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
    threshold, temperature = settings["threshold"], settings["temperature"]
    kept = isinstance(threshold, list) and threshold == saved["threshold"]
    if settings["multi_label"] and kept and temperature != saved["temperature"]:
        say(
            f"model.temperature {temperature} changes which classes are predicted: the checkpoint's thresholds were "
            f"chosen with {saved['temperature']}"
        )


def check_identity(
    identity: dict[str, Any], saved: dict[str, Any], what: str = "the checkpoint", option: str = "model.backbone"
) -> None:
    """Checks that a backbone is the one that a checkpoint was trained on.

    Args:
        identity: The backbone's name and hashes.
        saved: Those that the checkpoint keeps.
        what: What was trained on it.
        option: How to give another one.

    Raises:
        UserError: It is another one.
    """
    for key, part in (("network_sha256", "weights"), ("tokenizer_sha256", "tokenizer")):
        if saved[key] != identity[key]:
            raise UserError(
                f"{what} was trained on the backbone {saved['name']} ({part} {saved[key][:12]}), but the "
                f"{part} of {identity['name']} are {identity[key][:12]}; give the original with {option}"
            )


def remembered_settings(checkpoint: Checkpoint, subcommand: str) -> dict[str, Any]:
    """What a checkpoint remembers, as defaults for the command line, by dotted key.

    Args:
        checkpoint: The checkpoint.
        subcommand: ``fit`` also remembers what concerns the Trainer, so that a resumed run is the same run.
    """
    model, data = dict(checkpoint[MODEL_KEY]), dict(checkpoint[DATA_KEY])
    # Where a run is written to is the user's own word alone.
    trainer = {**checkpoint.get(TRAINER_KEY, {})}
    trainer["checkpoint"] = {k: v for k, v in trainer.get("checkpoint", {}).items() if k != "dirpath"}
    data["classes"] = model.pop("labels")
    del model["multi_label"]  # comes from the data
    settings: dict[str, Any] = {"model": model, "data": data}
    if subcommand == "fit":
        settings |= trainer
    elif subcommand == "predict":
        for key in ("separator", "encoding", "header", "on_error"):  # was about the files of the training
            data.pop(key, None)
    flat = _flat(settings)
    for block in ("checkpoint", "early_stopping"):
        flat.pop(f"{block}.mode", None)  # follows the metric, which may be another now
    return flat


def check_folder(checkpoint: Checkpoint, file: Path, typed: str | None) -> str | None:
    """The folder of a run's best checkpoint, when the run goes on: the one that is typed, or one inside the run.

    Args:
        checkpoint: From which it goes on.
        file: Its file.
        typed: What is typed, if anything.

    Raises:
        UserError: The run wrote elsewhere, which a checkpoint may not decide.
    """
    kept = checkpoint.get(TRAINER_KEY, {}).get("checkpoint", {}).get("dirpath")
    if typed or not kept:
        return typed
    run = Path(os.path.realpath(file)).parent.parent
    if Path(os.path.realpath(kept)).is_relative_to(run):
        return str(kept)
    raise UserError(
        f"the run kept its best checkpoint in {kept}, and no checkpoint may choose a folder outside its run; "
        f"add --checkpoint.dirpath {kept}, or another folder"
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value  # None too, which may have been typed where the default is another
    return flat
