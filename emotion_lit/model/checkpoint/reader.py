"""Reads checkpoints without running code from them."""

import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.hashes import weights_sha256
from emotion_lit.model.checkpoint.keys import FORMAT, KEY, LAST, PREVIOUS, Checkpoint
from emotion_lit.model.checkpoint.locations import find_checkpoint
from emotion_lit.model.checkpoint.migrations import migrate
from emotion_lit.model.checkpoint.paths import find_paths
from emotion_lit.model.checkpoint.type_checks import InvalidError
from emotion_lit.model.checkpoint.validation import check_archive, check_contents, check_own
from emotion_lit.utils.console import say
from emotion_lit.utils.paths import expanded

# PyTorch writes zip archives.
ZIP_MAGIC = b"PK\x03\x04"


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint without running code from it.

    Args:
        path: A checkpoint, or a run folder.

    Raises:
        UserError: It is missing, damaged, or was not written by this package.
    """
    file = find_checkpoint(path)
    checkpoint = read_unchanged(file)
    find_paths(checkpoint, file)
    return checkpoint


def read_to_resume(path: str | Path) -> tuple[Path, Checkpoint]:
    """Reads the checkpoint from which a run is resumed: the last one, or the one before it if that is damaged.

    Args:
        path: A checkpoint, or a run folder.

    Returns:
        The file and the checkpoint.

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
        say(f"{error}\nresuming from {previous}, the one before it", wrap=False)
        return previous, checkpoint


def check_whole(file: Path) -> None:
    """Checks a checkpoint file against the checksums in its archive.

    Args:
        file: The checkpoint.

    Raises:
        UserError: It is truncated or damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_archive(archive, file.stat().st_size)
            damaged = archive.testzip()
    except InvalidError as error:
        raise UserError(f"{file} is not a valid archive: {error}; ask its author for a new copy") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(f"{file} is truncated or damaged; copy it again from where it was made") from error
    if damaged:
        raise UserError(f"{file} is damaged: {damaged} is not what was saved; copy it again from where it was made")


def read_unchanged(file: Path) -> Checkpoint:
    """Reads a checkpoint, in the current format, without resolving its paths.

    Args:
        file: The checkpoint.

    Raises:
        UserError: It is damaged, or was not written by this package.
    """
    with file.open("rb") as raw:
        if raw.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            raise UserError(f"{file} is not a checkpoint; give one that `python -m emotion_lit fit` wrote")
    check_whole(file)
    try:
        checkpoint: Checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} contains more than weights and settings; give one that `python -m emotion_lit fit` wrote"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{file} is truncated or damaged; copy it again from where it was made") from error
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise UserError(f"{file} is a checkpoint of another program; give one that `python -m emotion_lit fit` wrote")
    _check_format(checkpoint[KEY], file)
    try:
        check_own(checkpoint[KEY])
        migrate(checkpoint)
        check_contents(checkpoint)
    except InvalidError as error:
        raise UserError(f"{file} is not a valid checkpoint: {error}; ask its author for a new copy") from error
    if checkpoint[KEY]["weights_sha256"] != weights_sha256(checkpoint["state_dict"]):
        raise UserError(f"{file} is damaged: its weights are not those that were saved; copy it again")
    return checkpoint


def _check_format(own: Any, file: Path) -> None:
    number, version = (own.get("format"), own.get("version")) if isinstance(own, dict) else (None, None)
    if type(number) is int and number > FORMAT and isinstance(version, str):
        raise UserError(f"{file} was written by emotion_lit {version[:40]}; upgrade to read it")
