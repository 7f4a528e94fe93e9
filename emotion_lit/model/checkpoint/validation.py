"""Checks that a checkpoint, which may come from anywhere, has plain settings of known types, and real weights.

Nothing in it may run code, write files, or take more memory than the file itself.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.hashes import files_sha256
from emotion_lit.model.checkpoint.keys import AVERAGING, CURRENT, FORMAT, KEY, MODEL_KEY, TRAINER_KEY, Checkpoint
from emotion_lit.model.checkpoint.paths import PATH_SETTINGS
from emotion_lit.model.checkpoint.schema import LIGHTNING, OWN, REQUIRED, SECTIONS
from emotion_lit.model.checkpoint.type_checks import InvalidError, check_types, shown_value

# The files of a configuration and a tokenizer: texts, in one folder, that together take no more than this.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.(json|txt|jinja|model|bpe|codes|vocab)")
MOST_FILES, MOST_CHARACTERS = 100, 2**26
# Keys that checkpoints of format 1 may lack.
ADDED = ("paths", "files_sha256")


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Checks that an archive does not take more memory than the size of the file.

    Args:
        archive: The checkpoint.
        size: The bytes of the file.

    Raises:
        InvalidError: It is compressed, or its parts overlap.
    """
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InvalidError("it is compressed, and checkpoints are not")
    if sum(entry.file_size for entry in entries) > size:
        raise InvalidError("its parts are larger than the file")


def check_own(own: Any) -> None:
    """Checks what the migration of a checkpoint relies on.

    Args:
        own: Our own part of the checkpoint.

    Raises:
        InvalidError: Something is missing or of another type.
    """
    check_types(own, OWN, KEY, needed=[key for key in OWN if key not in ADDED], others=True)
    if not 1 <= own["format"] <= FORMAT:
        raise InvalidError(f"{KEY}.format is {own['format']}")


def check_contents(checkpoint: Checkpoint) -> None:
    """Checks the types and values of everything in a checkpoint that has an effect.

    Args:
        checkpoint: The checkpoint.

    Raises:
        InvalidError: Something is missing, of another type, out of bounds, or not on the list of what may be there.
    """
    own = checkpoint[KEY]
    check_types(own, OWN, KEY, needed=OWN, others=True)
    check_types(checkpoint, {"state_dict": dict[str, Tensor]} | LIGHTNING, "", needed=["state_dict"], others=True)
    for weights in ("state_dict", CURRENT, AVERAGING):
        _check_weights(checkpoint.get(weights, {}))
    _check_ways(own["paths"])
    for section, kinds in SECTIONS.items():
        if section in REQUIRED or section in checkpoint:
            check_types(checkpoint.get(section), kinds, section, REQUIRED.get(section, ()))
    _check_files(own["files"])
    if own["files_sha256"] != files_sha256(own["files"]):
        raise InvalidError("the bundled configuration and tokenizer differ from those that were saved")
    labels = checkpoint[MODEL_KEY]["labels"]
    if len(set(labels)) != len(labels) or not all(labels):
        raise InvalidError(f"{MODEL_KEY}.labels has a duplicate or an empty name")
    trainer = checkpoint.get(TRAINER_KEY, {})
    for name in (trainer.get("name", ""), trainer.get("checkpoint", {}).get("filename", "")):
        if ".." in name.split("/") or name.startswith("/") or re.search(r"\\|\0|^\w:", name):
            raise InvalidError(f"it names {shown_value(name)}, which is outside its folder")


def _check_weights(weights: Mapping[str, Tensor]) -> None:
    """Checks that each tensor stores as many numbers as its shape says; an expanded view can claim any number."""
    for name, tensor in weights.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise InvalidError(f"the weights {shown_value(name)} are not plain numbers")


def _check_files(files: Mapping[str, str]) -> None:
    odd = next((name for name in files if not FILE_NAME.fullmatch(name)), None)
    if odd is not None:
        raise InvalidError(f"it bundles a file {shown_value(odd)}, which is not a configuration or tokenizer")
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_CHARACTERS:
        raise InvalidError(f"the bundled files are larger than {MOST_CHARACTERS / 2**20:.0f} MiB")


def _check_ways(ways: Mapping[str, str]) -> None:
    known = {f"{section}.{key}" for section, keys in PATH_SETTINGS.items() for key in keys}
    odd = next((place for place in ways if place not in known), None)
    if odd is not None:
        raise InvalidError(f"{KEY}.paths has {shown_value(odd)}")
    odd = next((way for way in ways.values() if "\0" in way), None)
    if odd is not None:
        raise InvalidError(f"{KEY}.paths has {shown_value(odd)}")


def check_name(name: Any) -> None:
    """Checks that a name is that of a checkpoint in the same folder.

    Args:
        name: What a checkpoint says.

    Raises:
        UserError: It may lead elsewhere.
    """
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".ckpt") or re.search(r"[\\\0]", name):
        raise UserError(
            f"the checkpoint lists {shown_value(name)} as a file of its folder, which is not a file name; train again"
        )
