"""Engines: each takes a batch of tokens and gives probabilities."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.model.decision import Decision
from emotion_lit.model.network import Network
from emotion_lit.model.pretrained import reason
from emotion_lit.utils.console import say
from emotion_lit.utils.names import shown

TORCH, TORCH_BF16, ONNX, ONNX_INT8 = "torch", "torch bf16", "onnx", "onnx int8"
ENGINES = (TORCH, TORCH_BF16, ONNX, ONNX_INT8)
REASON_CHARACTERS = 200


class Engine(Protocol):
    """Computes the probabilities of a batch."""

    def __call__(self, batch: Batch) -> Tensor:
        """Computes calibrated probabilities.

        Args:
            batch: ``input_ids`` and, if texts are padded, ``attention_mask``, both ``[rows, tokens]``.

        Returns:
            ``[rows, classes]``, on any device; NaN in a row for which the model gives no finite numbers.
        """


class TorchEngine:
    """PyTorch, on the device of the network.

    Args:
        network: A fine-tuned network; the engine puts it into evaluation mode.
        decision: How its logits become probabilities.
        dtype: The precision of matrix products. By default the precision of the surrounding autocast, if there is one.
    """

    def __init__(self, network: Network, decision: Decision, dtype: torch.dtype | None = None) -> None:
        self.network = network.eval()
        self.decision = decision
        self.dtype = dtype

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> None:
        """Moves the network to a device.

        Args:
            device: The device.

        Raises:
            UserError: There is no such device.
        """
        try:
            self.network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"the model cannot go to the device {shown(str(device))}: {reason(error)}; give another one, such as "
                "cpu"
            ) from error

    def __call__(self, batch: Batch) -> Tensor:
        """Computes calibrated probabilities, ``[rows, classes]``, on the network's device.

        Raises:
            UserError: The network is on a GPU, and this is a forked process.
        """
        device = self.device
        if device.type == "cuda" and not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            raise UserError(
                "the model is on the GPU, which a forked process cannot use; load it in the worker, start workers with "
                'spawn, or load it with device="cpu"'
            )
        mask = batch.get("attention_mask")
        ids, mask = batch["input_ids"].to(device), None if mask is None else mask.to(device)
        if self.dtype is None:
            return self.decision.probabilities(self.network(ids, mask))
        half = self.dtype != torch.float32
        with torch.autocast(device.type, self.dtype if half else None, enabled=half):
            logits = self.network(ids, mask)
        return self.decision.probabilities(logits)


class CheckedEngine:
    """An engine whose probabilities are checked for their shape.

    Args:
        engine: The engine.
        classes: The number of classes.
    """

    def __init__(self, engine: Engine, classes: int) -> None:
        self.engine = engine
        self.classes = classes

    def __call__(self, batch: Batch) -> Tensor:
        """Computes calibrated probabilities, ``[rows, classes]``.

        Raises:
            ValueError: They have another shape.
        """
        probabilities, wanted = self.engine(batch), (len(batch["input_ids"]), self.classes)
        if tuple(probabilities.shape) != wanted:
            raise ValueError(f"its output has the shape {tuple(probabilities.shape)} instead of {wanted}")
        return probabilities


class FallbackEngine:
    """An engine that is replaced by PyTorch if it fails or gives probabilities that are not finite.

    Args:
        name: The engine's name, for messages.
        engine: The engine.
        fallback: The PyTorch engine of the same model.
        on_fallback: Called once, when PyTorch replaces the engine.
    """

    def __init__(self, name: str, engine: Engine, fallback: TorchEngine, on_fallback: Callable[[], None]) -> None:
        self.name = name
        self.engine: Engine | None = CheckedEngine(engine, len(fallback.decision.labels))
        self.fallback = fallback
        self.on_fallback = on_fallback

    def __call__(self, batch: Batch) -> Tensor:
        """Computes calibrated probabilities, ``[rows, classes]``."""
        if self.engine is None:
            return self.fallback(batch)
        try:
            probabilities = self.engine(batch)
        except Exception as error:
            return self._fall_back(self.fallback(batch), engine_error(error))
        if bool(probabilities.isfinite().all()):
            return probabilities
        expected = self.fallback(batch)
        same = torch.equal(expected.isfinite().cpu(), probabilities.isfinite().cpu())  # the model itself gives NaN
        return probabilities if same else self._fall_back(expected, "its probabilities are not finite")

    def _fall_back(self, probabilities: Tensor, reason: str) -> Tensor:
        self.engine = None
        say(f"{self.name} is no longer used: {reason}; continuing with PyTorch")
        self.on_fallback()
        return probabilities


def engine_error(error: Exception) -> str:
    """The reason why an engine failed, in one short line.

    Args:
        error: What it raised.
    """
    reason = " ".join(str(error).split())[:REASON_CHARACTERS]
    return reason if isinstance(error, UserError | ValueError) and reason else f"{type(error).__name__}: {reason}"
