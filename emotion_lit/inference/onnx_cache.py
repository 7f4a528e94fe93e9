"""ONNX files of a checkpoint: written once, and kept next to the checkpoint or in the cache."""

import contextlib
from pathlib import Path

from emotion_lit.errors import UserError
from emotion_lit.inference.onnx_engine import need_onnx
from emotion_lit.inference.onnx_export import write_int8, write_onnx
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.utils import caches
from emotion_lit.utils.checksums import is_intact
from emotion_lit.utils.files import reason_of, why_not_writable


def onnx_file(model: TrainedNetwork, checkpoint: Path | None, int8: bool) -> Path:
    """The ONNX file of a model; it is written if there is none yet.

    Args:
        model: The model.
        checkpoint: Its checkpoint; the file is kept next to it. Without one, or if that folder is read-only, the
            file is kept in the cache.
        int8: Whether its weights have 8 bits.

    Raises:
        UserError: The packages for ONNX are missing, or the architecture or the file cannot be written.
    """
    need_onnx()
    files = _candidates(model, checkpoint, int8)
    for file in files:
        if is_intact(file):
            return file
    file_name, cache = files[-1].name, files[-1].parent
    beside = files[0].parent if checkpoint else None
    writable = beside if beside and why_not_writable(beside) is None else caches.writable_dir(cache)
    if writable is None:
        raise UserError(
            f"there is no place for the ONNX file: neither {beside or cache}, nor {cache}, nor a temporary "
            "folder can be written; predict with --prediction.engine torch"
        )
    file = writable / file_name
    try:
        if int8:
            write_int8(onnx_file(model, checkpoint, int8=False), file)
        else:
            write_onnx(model, file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {reason_of(error)}") from error
    return file


def remove_onnx(model: TrainedNetwork, checkpoint: Path | None) -> None:
    """Removes the ONNX files of a model, so that they are written again.

    Args:
        model: The model.
        checkpoint: Its checkpoint.
    """
    for int8 in (False, True):
        for file in _candidates(model, checkpoint, int8):
            with contextlib.suppress(OSError):
                file.unlink()


def _candidates(model: TrainedNetwork, checkpoint: Path | None, int8: bool) -> list[Path]:
    """Where the file may be: next to the checkpoint, then in the cache."""
    name = f"{model.weights_sha256[:16]}-{model.decision.temperature:.6f}{'.int8' if int8 else ''}.onnx"
    beside = [checkpoint.parent / f"{checkpoint.stem}.onnx"] if checkpoint else []
    return [folder / name for folder in (*beside, caches.cache_dir() / "onnx")]
