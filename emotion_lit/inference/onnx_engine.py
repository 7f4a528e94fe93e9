"""ONNX Runtime as an engine."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.model.decision import Decision
from emotion_lit.utils import fork_safety

PACKAGES = ("onnx", "onnxruntime")


def has_onnx() -> bool:
    """Whether the packages for ONNX are installed."""
    return all(importlib.util.find_spec(package) for package in PACKAGES)


def need_onnx() -> None:
    """Checks that the packages for ONNX are installed.

    Raises:
        UserError: They are not.
    """
    if not has_onnx():
        raise UserError('ONNX Runtime is not installed; type: pip install "emotion-lit[onnx]"')


class OnnxEngine:
    """ONNX Runtime on the CPU.

    Args:
        network: A file that `write_onnx` wrote, or its content. Copies of the engine have the content.
        decision: How the file's logits become probabilities. Files of `write_onnx` contain the temperature, so its
            temperature is 1 for them.
    """

    def __init__(self, network: Path | bytes, decision: Decision) -> None:
        need_onnx()
        self.decision = decision
        self._network = network
        self._open()

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        network = self._network if isinstance(self._network, bytes) else str(self._network)
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        fork_safety.never_free_in_child(self._session)
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """The content of the file and the decision: a session cannot be copied."""
        network = self._network if isinstance(self._network, bytes) else self._network.read_bytes()
        return {"_network": network, "decision": self.decision}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens a new session."""
        self.__dict__.update(state)
        self._open()

    def __call__(self, batch: Batch) -> Tensor:
        """Computes calibrated probabilities, ``[rows, classes]``, on the CPU."""
        if self._process != os.getpid():  # the threads of a session do not survive a fork
            self._open()
        ids = batch["input_ids"].cpu().numpy()
        mask = batch["attention_mask"].cpu().numpy() if "attention_mask" in batch else np.ones_like(ids)
        logits = torch.from_numpy(self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0])
        probabilities = self.decision.probabilities(logits)
        # A sigmoid hides an overflow: that of an infinite logit is 1.
        return probabilities.where(logits.isfinite(), torch.nan)
