"""What may be in a checkpoint: settings of a closed list, of their declared types, and weights that are what they seem.

A checkpoint may come from anywhere. It says nothing that runs, writes or takes more memory than the file itself.
"""

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint_paths import (
    AVERAGING,
    CURRENT,
    KEY,
    MODEL_KEY,
    PATH_SETTINGS,
    TRAINER_KEY,
    Checkpoint,
)
from emotion_lit.model.checkpoint_schema import LARGEST, LIGHTNING, OWN, REQUIRED, SECTIONS

# The files of a configuration and a tokenizer: texts, in one folder, that together take no more than this.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.(json|txt|jinja|model|bpe|codes|vocab)")
MOST_FILES, MOST_CHARACTERS = 100, 2**26
LARGEST_INT = 2**63 - 1
# What checkpoints of earlier releases lack.
ADDED = ("paths", "files_sha256")


class OddError(Exception):
    """Something in a checkpoint that no training has written there; says what and where."""


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Checks that reading an archive takes no more memory than the file is large.

    Args:
        archive: The checkpoint.
        size: The bytes of the file.

    Raises:
        OddError: It is compressed, or its parts overlap.
    """
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise OddError("it is compressed, as no checkpoint is")
    if sum(entry.file_size for entry in entries) > size:
        raise OddError("its parts are larger than the file")


def check_contents(checkpoint: Checkpoint) -> None:
    """Checks everything in a checkpoint that decides something.

    Args:
        checkpoint: The checkpoint.

    Raises:
        OddError: Something is missing, of another type, out of bounds, or not on the list of what may be there.
    """
    own = checkpoint[KEY]
    _check(own, OWN, KEY, needed=[key for key in OWN if key not in ADDED], others=True)
    _check(checkpoint, {"state_dict": dict[str, Tensor]} | LIGHTNING, "", needed=["state_dict"], others=True)
    for weights in ("state_dict", CURRENT, AVERAGING):
        _check_weights(checkpoint.get(weights, {}))
    _check_ways(own.get("paths", {}))
    for section, kinds in SECTIONS.items():
        if section in REQUIRED or section in checkpoint:
            _check(checkpoint.get(section), kinds, section, REQUIRED.get(section, ()))
    _check_files(own["files"])
    if own.get("files_sha256", files_sha256(own["files"])) != files_sha256(own["files"]):
        raise OddError("the configuration and the tokenizer that it carries are not those that were saved")
    labels = checkpoint[MODEL_KEY]["labels"]
    if len(set(labels)) != len(labels) or not all(labels):
        raise OddError(f"{MODEL_KEY}.labels has one twice, or one without a name")
    trainer = checkpoint.get(TRAINER_KEY, {})
    for name in (trainer.get("name", ""), trainer.get("checkpoint", {}).get("filename", "")):
        if ".." in name.split("/") or name.startswith("/") or re.search(r"\\|\0|^\w:", name):
            raise OddError(f"it names {_shown(name)}, which leads out of its folder")


def _check(
    values: Any, kinds: Mapping[str, Any], where: str, needed: Collection[str] = (), others: bool = False
) -> None:
    """Checks settings against their types.

    Args:
        values: The settings.
        kinds: The type of each; a dict for a group of settings.
        where: What they are called together.
        needed: Those that have to be there.
        others: Whether there may be others, which nobody reads.
    """
    name = f"{where}." if where else ""
    if not isinstance(values, dict):
        raise OddError(f"{where} is {_shown(values)}")
    missing = next((key for key in needed if key not in values), None)
    if missing is not None:
        raise OddError(f"{name}{missing} is missing")
    for key, value in values.items():
        if key not in kinds:
            if others:
                continue
            raise OddError(f"{name}{_shown(key)} is no setting that a checkpoint may have")
        if isinstance(kinds[key], dict):
            _check(value, kinds[key], f"{name}{key}")
        elif not is_of(value, kinds[key]) or _is_out_of_bounds(key, value):
            raise OddError(f"{name}{key} is {_shown(value)}")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a plain value is of a declared type. No number is NaN, and a dataclass is a dict.

    Args:
        value: The value.
        kind: A type, as annotations have it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, one) for one in arguments)
    if origin is Literal:
        return type(value) in (str, int, bool) and value in arguments
    if origin in (list, dict):
        if not isinstance(value, origin):
            return False
        parts = [value] if origin is list else [value.keys(), value.values()]
        return all(is_of(one, part) for part, ones in zip(arguments, parts, strict=True) for one in ones)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return (
            isinstance(value, dict)
            and value.keys() <= hints.keys()
            and all(is_of(one, hints[key]) and not _is_out_of_bounds(key, one) for key, one in value.items())
        )
    if kind is float:
        return is_of(value, int) or (type(value) is float and not math.isnan(value))
    if kind is int:
        return type(value) is int and abs(value) <= LARGEST_INT
    return (
        kind is Any
        or (isinstance(kind, type) and type(value) is kind)
        or (kind is Tensor and isinstance(value, Tensor))
    )


def _is_out_of_bounds(key: str, value: Any) -> bool:
    return isinstance(value, int | float) and key in LARGEST and not 1 <= value <= LARGEST[key]


def _shown(value: Any) -> str:
    shown = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _check_weights(weights: Mapping[str, Tensor]) -> None:
    """Checks that each tensor has as many numbers as it seems; a view of one number can look like any amount."""
    for name, tensor in weights.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise OddError(f"the weights {_shown(name)} are no plain numbers")


def _check_files(files: Mapping[str, str]) -> None:
    odd = next((name for name in files if not FILE_NAME.fullmatch(name)), None)
    if odd is not None:
        raise OddError(f"it carries a file {_shown(odd)}, which is no configuration or tokenizer")
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_CHARACTERS:
        raise OddError(f"the files that it carries are larger than {MOST_CHARACTERS / 2**20:.0f} MiB")


def _check_ways(ways: Mapping[str, str]) -> None:
    known = {f"{section}.{key}" for section, keys in PATH_SETTINGS.items() for key in keys}
    odd = next((place for place in ways if place not in known), None)
    if odd is not None:
        raise OddError(f"{KEY}.paths has {_shown(odd)}")
    odd = next((way for way in ways.values() if "\0" in way), None)
    if odd is not None:
        raise OddError(f"{KEY}.paths has {_shown(odd)}")


def files_sha256(files: Mapping[str, str]) -> str:
    """A hash of carried files.

    Args:
        files: Their texts by their names.
    """
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def check_name(name: Any) -> None:
    """Checks that a name is that of a checkpoint in the same folder.

    Args:
        name: What a checkpoint says.

    Raises:
        UserError: It may lead elsewhere.
    """
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".ckpt") or re.search(r"[\\\0]", name):
        raise UserError(f"the checkpoint names {_shown(name)} as one beside it, which it cannot be; train anew")
