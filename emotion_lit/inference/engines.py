"""What computes logits: PyTorch in the precision of its choice, or ONNX Runtime."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.inference.onnx import OnnxEngine, need_onnx, write_int8, write_onnx
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import caches
from emotion_lit.utils.console import say
from emotion_lit.utils.files import reason_of, why_not_writable

TORCH, TORCH_BF16, ONNX, ONNX_INT8 = "torch", "torch bf16", "onnx", "onnx int8"
ENGINES = (TORCH, TORCH_BF16, ONNX, ONNX_INT8)
REASON_CHARACTERS = 200


class Engine(Protocol):
    """Computes logits."""

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``, not yet divided by the temperature."""


class TorchEngine:
    """The model itself.

    Args:
        model: The model.
        dtype: The precision of matrix products; None leaves it to who calls.
    """

    def __init__(self, model: EmotionClassifier, dtype: torch.dtype | None = None) -> None:
        self.model = model
        self.dtype = dtype

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: As `EmotionClassifier.forward` takes it.
        """
        if self.dtype is None:
            return self.model(batch)  # type: ignore[no-any-return]
        with torch.autocast(self.model.device.type, self.dtype):
            return self.model(batch)  # type: ignore[no-any-return]


class WatchedEngine:
    """An engine that PyTorch takes over from, if it dies or gives something that are no logits.

    Args:
        name: Its name.
        engine: The engine.
        model: The model.
        refused: Called when PyTorch takes over.
    """

    def __init__(self, name: str, engine: Engine, model: EmotionClassifier, refused: Callable[[], None]) -> None:
        self.name = name
        self.engine: Engine | None = CheckedEngine(engine, len(model.labels))
        self.torch = TorchEngine(model)
        self.refused = refused

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: As `EmotionClassifier.forward` takes it.
        """
        if self.engine is None:
            return self.torch(batch)
        try:
            logits = self.engine(batch)
        except Exception as error:
            return self._take_over(self.torch(batch), why_refused(error))
        if bool(logits.isfinite().all()):
            return logits
        ours = self.torch(batch)
        same = torch.equal(ours.isfinite().cpu(), logits.isfinite().cpu())  # the model itself gives none
        return logits if same else self._take_over(ours, "it gives logits that are no finite numbers")

    def _take_over(self, logits: Tensor, why: str) -> Tensor:
        self.engine = None
        say(f"{self.name} is not used any more: {why}; PyTorch goes on")
        self.refused()
        return logits


class CheckedEngine:
    """An engine whose logits have the right shape.

    Args:
        engine: The engine.
        classes: How many there are.
    """

    def __init__(self, engine: Engine, classes: int) -> None:
        self.engine = engine
        self.classes = classes

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: As `EmotionClassifier.forward` takes it.

        Raises:
            ValueError: They have another shape.
        """
        logits, wanted = self.engine(batch), (len(batch["input_ids"]), self.classes)
        if tuple(logits.shape) != wanted:
            raise ValueError(f"it gives logits of shape {tuple(logits.shape)}, and not {wanted}")
        return logits


def why_refused(error: Exception) -> str:
    """What an engine died of, in a few words.

    Args:
        error: What it raised.
    """
    reason = " ".join(str(error).split())[:REASON_CHARACTERS]
    return reason if isinstance(error, UserError | ValueError) and reason else f"{type(error).__name__}: {reason}"


def make_engine(name: str, model: EmotionClassifier, checkpoint: Path | None = None) -> Engine:
    """An engine by its name.

    Args:
        name: One of `TORCH`, `TORCH_BF16`, `ONNX` and `ONNX_INT8`.
        model: The model.
        checkpoint: The model's checkpoint, beside which the files of ONNX are kept.

    Raises:
        UserError: The packages for ONNX are missing, or the architecture cannot be written.
    """
    if name in (TORCH, TORCH_BF16):
        return TorchEngine(model, torch.bfloat16 if name == TORCH_BF16 else None)
    file = onnx_file(model, checkpoint, int8=name == ONNX_INT8)
    return OnnxEngine(file, model.settings.temperature or 1.0)


def onnx_file(model: EmotionClassifier, checkpoint: Path | None, int8: bool) -> Path:
    """The network of a checkpoint as ONNX, made once and kept beside it; where that cannot be written, in the cache.

    Args:
        model: The model.
        checkpoint: Its checkpoint.
        int8: Whether its weights have 8 bits.

    Raises:
        UserError: The packages for ONNX are missing, or the architecture or the file cannot be written.
    """
    need_onnx()
    places = _places(model, checkpoint, int8)
    for file in places:
        if caches.is_whole(file):
            return file
    file_name, cache = places[-1].name, places[-1].parent
    beside = places[0].parent if checkpoint else None
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


def forget_onnx(model: EmotionClassifier, checkpoint: Path | None) -> None:
    """Removes what is kept of a network as ONNX, so that it is made anew.

    Args:
        model: The model.
        checkpoint: Its checkpoint.
    """
    for int8 in (False, True):
        for file in _places(model, checkpoint, int8):
            with contextlib.suppress(OSError):
                file.unlink()


def _places(model: EmotionClassifier, checkpoint: Path | None, int8: bool) -> list[Path]:
    """Where a file of ONNX may be: beside the checkpoint, and in the cache."""
    name = f"{model.weights_sha256[:16]}-{model.settings.temperature or 1.0:.6f}{'.int8' if int8 else ''}.onnx"
    beside = [checkpoint.parent / f"{checkpoint.stem}.onnx"] if checkpoint else []
    return [folder / name for folder in (*beside, caches.cache_dir() / "onnx")]
