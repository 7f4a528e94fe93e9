"""Writes checkpoints atomically, and only with contents that can be loaded without running code."""

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

# Types that `torch.load` reads with ``weights_only``.
PLAIN = (str, int, float, bool, bytes, type(None), Tensor, torch.dtype, torch.device, torch.Size)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file next to it, and renames that, so the checkpoint is always complete.

    Lightning's own `save_checkpoint` writes to the temporary folder, and if that is on another file system, it copies
    over the old checkpoint. Here a full disk ends neither the training nor damages the old checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves a checkpoint, or reports that it cannot be written.

        Args:
            checkpoint: The checkpoint.
            path: The file.
            storage_options: Not used.

        Raises:
            UserError: It contains an object that could not be loaded.
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
            if not self._save_without_previous(checkpoint, file):
                nonfatal.record(file.name, error)
                return
        nonfatal.resolve(file.name)

    @staticmethod
    def _save_without_previous(checkpoint: dict[str, Any], file: Path) -> bool:
        """Deletes previous.ckpt to make room on a full disk, and tries again."""
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
    """Keeps the old last.ckpt as previous.ckpt, in case the new one is damaged."""
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
    """Checks that a checkpoint can be loaded without running code.

    Args:
        value: The checkpoint, or a part of it.
        where: The key of the part.

    Raises:
        UserError: It contains an object of another type than `PLAIN`.
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
            f"the checkpoint cannot store {where}: a {kind.__module__}.{kind.__qualname__} could not be loaded without "
            "running code; its state_dict should return only numbers, strings and tensors"
        )
