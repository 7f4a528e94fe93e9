"""Checks that an output file is not one of the input files."""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from emotion_lit.data.formats.files import SUFFIXES, data_suffix
from emotion_lit.errors import UserError


def rejects_file(output: Path) -> Path:
    """The file of the rows that could not be read, next to an output.

    Args:
        output: The file of the predictions.
    """
    return output.with_name(f"{output.name}.rejects.jsonl")


def check_apart(target: Path | None, files: Sequence[str], source: str) -> None:
    """Checks that the output overwrites no input, and that the next run would not read it as an input.

    Args:
        target: The output; None for standard output.
        files: The input files; ``-`` for standard input.
        source: The file or folder that was given as input.

    Raises:
        UserError: An output is an input.
    """
    inputs = {identity: file for file in files if (identity := _identity(0 if file == "-" else file))}
    outputs: list[Path | int] = [1] if target is None else [target, rejects_file(target)]
    for output in outputs:
        same = inputs.get(_identity(output) or (0, 0))
        if same is not None:
            read = "standard input" if same == "-" else same
            written = "standard output" if output == 1 else str(output)
            raise UserError(f"{read} is read, and would be overwritten as {written}; give another --prediction.path")
    folder = Path(source)
    if target is not None and source != "-" and folder.is_dir() and data_suffix(target) in SUFFIXES:
        inside = target.parent.resolve() / target.name
        if inside.is_relative_to(folder.resolve()) and not _is_hidden(inside, folder.resolve()):
            raise UserError(
                f"{target} is in the folder {source}, whose files are read, so the next run would read it too; give a "
                "--prediction.path elsewhere"
            )


def _identity(file: str | Path | int) -> tuple[int, int] | None:
    """The device and inode of a file, the same for all its paths; None if it is missing, a pipe or a terminal."""
    try:
        found = os.fstat((sys.stdin, sys.stdout)[file].fileno()) if isinstance(file, int) else Path(file).stat()
    except (OSError, ValueError, AttributeError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
