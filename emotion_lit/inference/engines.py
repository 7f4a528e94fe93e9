"""What computes logits: PyTorch in the precision of its choice, or ONNX Runtime."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from emotion_lit import caches
from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.files import reason_of, why_not_writable
from emotion_lit.inference.onnx_files import need_onnx, write_int8, write_onnx
from emotion_lit.model.classifier import EmotionClassifier

TORCH, TORCH_BF16, ONNX, ONNX_INT8 = "torch", "torch bf16", "onnx", "onnx int8"


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


class OnnxEngine:
    """ONNX Runtime on the CPU.

    Args:
        file: A network as `write_onnx` writes it.
        temperature: By which its logits are divided already.
    """

    def __init__(self, file: Path, temperature: float = 1.0) -> None:
        need_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._temperature = temperature

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: ``input_ids`` and, where there is padding, ``attention_mask``, both ``[batch, tokens]``.
        """
        ids = batch["input_ids"].cpu().numpy()
        mask = batch["attention_mask"].cpu().numpy() if "attention_mask" in batch else np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask}
        return torch.from_numpy(self._session.run(None, inputs)[0]) * self._temperature


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
    return OnnxEngine(file, model.temperature or 1.0)


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
    name = f"{model.weights_sha256[:16]}-{model.temperature or 1.0:.6f}"
    file_name = f"{name}{'.int8' if int8 else ''}.onnx"
    beside = checkpoint.parent / f"{checkpoint.stem}.onnx" if checkpoint else None
    cache = caches.cache_dir() / "onnx"
    for folder in filter(None, (beside, cache)):
        if caches.is_whole(folder / file_name):
            return folder / file_name
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
