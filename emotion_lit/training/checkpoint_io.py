"""How checkpoints get to the disk: beside their names, whole, and with nothing in them that could not be read."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import KEY, LAST, PREVIOUS
from emotion_lit.model.checkpoint.paths import remember_paths
from emotion_lit.utils import failures, nonfatal
from emotion_lit.utils.files import atomic_path, replace, temporary_name

# What `torch.load` reads without running code.
PLAIN = (str, int, float, bool, bytes, type(None), Tensor, torch.dtype, torch.device, torch.Size)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its name and renames it; killed anywhere, the name stands for a whole one.

    Lightning's own goes through the temporary folder, and copies over the old checkpoint where that is on another file
    system. A full disk costs neither the training nor the checkpoint that was there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves a checkpoint, or says that it cannot be written.

        Args:
            checkpoint: The checkpoint.
            path: The file.
            storage_options: Not used.

        Raises:
            UserError: It holds something that could not be read again.
        """
        check_plain(checkpoint)
        file = Path(path)
        if KEY in checkpoint:
            remember_paths(checkpoint, file.parent)
        try:
            _write(checkpoint, file)
        except (OSError, RuntimeError) as error:
            if failures.explain(error) is None:
                raise
            if not self._makes_room(checkpoint, file):
                nonfatal.record(file.name, error)
                return
        nonfatal.resolve(file.name)

    @staticmethod
    def _makes_room(checkpoint: dict[str, Any], file: Path) -> bool:
        """Tries once more without the checkpoint before the last, for which the disk may be too small."""
        previous = file.with_name(PREVIOUS)
        if not (file.with_name(LAST).is_file() and previous.is_file()):
            return False
        try:
            previous.unlink()
            _write(checkpoint, file)
        except (OSError, RuntimeError):
            return False
        return True


def _write(checkpoint: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as unfinished:
        torch.save(checkpoint, unfinished)
        if file.name == LAST:
            _keep_previous(file)


def _keep_previous(last: Path) -> None:
    """Lets the last checkpoint stay under another name, for the case that the new one is damaged."""
    previous = last.with_name(PREVIOUS)
    if not last.is_file():
        return
    try:
        linked = temporary_name(previous)
        os.link(last, linked)
    except OSError:  # a file system without hard links
        replace(last, previous)
    else:
        replace(linked, previous)


def check_plain(value: Any, where: str = "") -> None:
    """Checks that a checkpoint can be read again without running code from it.

    Args:
        value: The checkpoint, or a part of it.
        where: Which part.

    Raises:
        UserError: It cannot.
    """
    kind = type(value)
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(key, where)
            check_plain(item, f"{where}.{key}" if where else str(key))
    elif kind in (list, tuple, set):
        for item in value:
            check_plain(item, where)
    elif kind not in PLAIN and not isinstance(value, Tensor):
        raise UserError(
            f"the checkpoint cannot keep {where}: a {kind.__module__}.{kind.__qualname__} could not be read again "
            "without running code; let its state_dict give plain numbers, texts and tensors"
        )
