"""The metadata that a checkpoint stores besides its weights, so that it loads anywhere."""

from pathlib import Path
from typing import Any

import torch

from emotion_lit import __version__
from emotion_lit.model.checkpoint.hashes import files_sha256, weights_sha256
from emotion_lit.model.checkpoint.keys import DATA_KEY, FORMAT, KEY, MODEL_KEY, Checkpoint
from emotion_lit.model.checkpoint.paths import PATH_SETTINGS, portable, remember_paths
from emotion_lit.model.checkpoint.reader import read_unchanged
from emotion_lit.utils.files import atomic_path


def add_metadata(
    checkpoint: Checkpoint,
    model: dict[str, Any],
    data: dict[str, Any],
    identity: dict[str, Any],
    files: dict[str, Any],
    folder: str | Path,
) -> None:
    """Adds the metadata with which a checkpoint can be loaded on any machine.

    Args:
        checkpoint: The checkpoint that Lightning saves, with the weights to store.
        model: The model's settings.
        data: The settings of the data.
        identity: The backbone's name and hashes.
        files: The configuration and the tokenizer by file name, if the checkpoint needs no base model.
        folder: The folder in which it will be.
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


def update_hyperparameters(file: Path, model: dict[str, Any]) -> None:
    """Changes settings of the model in a checkpoint file, atomically.

    Args:
        file: The checkpoint.
        model: The settings to change, none of them a path.
    """
    checkpoint = read_unchanged(file)
    checkpoint[MODEL_KEY] |= model
    with atomic_path(file) as unfinished:
        torch.save(checkpoint, unfinished)
