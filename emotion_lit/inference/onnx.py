"""A trained network as ONNX files: single precision, and 8-bit weights."""

import contextlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.inference.agreement import (
    SAME_NUMBERS,
    compare,
    probabilities_of,
    reference_probabilities,
    sample_batches,
)
from emotion_lit.inference.lora_merge import merged_network
from emotion_lit.model.fast_paths import Probe, reason_of
from emotion_lit.model.network import Network
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import fork_safety
from emotion_lit.utils.caches import seal
from emotion_lit.utils.files import atomic_path

OPSET = 18
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


class _Logits(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.network(input_ids, attention_mask)  # type: ignore[no-any-return]


class OnnxEngine:
    """ONNX Runtime on the CPU.

    Args:
        network: A file as `write_onnx` writes it, or its content, which copies take along.
        temperature: By which its logits are divided already.
    """

    def __init__(self, network: Path | bytes, temperature: float = 1.0) -> None:
        need_onnx()
        self._network = network
        self._temperature = temperature
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
        """The content of the file and the temperature: a session cannot be copied."""
        network = self._network if isinstance(self._network, bytes) else self._network.read_bytes()
        return {"_network": network, "_temperature": self._temperature}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens a session of its own."""
        self.__dict__.update(state)
        self._open()

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: ``input_ids`` and, where there is padding, ``attention_mask``, both ``[batch, tokens]``.
        """
        if self._process != os.getpid():  # the threads of a session do not survive a fork
            self._open()
        ids = batch["input_ids"].cpu().numpy()
        mask = batch["attention_mask"].cpu().numpy() if "attention_mask" in batch else np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask}
        return torch.from_numpy(self._session.run(None, inputs)[0]) * self._temperature


def write_onnx(model: EmotionClassifier, path: Path) -> None:
    """Writes a network in single precision: ``input_ids`` and ``attention_mask`` in, ``logits`` out, of any size.

    Adapters are merged, and logits are divided by the temperature. Before it has its name, the file is compared with
    PyTorch.

    Args:
        model: A trained model.
        path: Where to.

    Raises:
        UserError: The packages for ONNX are missing, the architecture cannot be written, or what was written is wrong.
    """
    need_onnx()
    network, probe = merged_network(model), Probe(model.tokenizer)
    network.encoder.set_attn_implementation("eager")  # the fused one is written as the same steps
    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    # The whole module in evaluation mode: the exporter leaves inner ones as they are, dropout included.
    whole = _Logits(network).eval()
    with atomic_path(path) as unfinished, _quiet_exporter():
        try:
            torch.onnx.export(
                whole,
                (probe.ids, probe.mask),
                str(unfinished),
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_axes={**axes, "logits": {0: "batch"}},
                opset_version=OPSET,
                # The newer exporter takes ten times as long, and what it writes runs at 0.85 of the speed.
                dynamo=False,
            )
        except OSError:
            raise
        except Exception as error:  # tracing runs the code of any architecture
            raise UserError(
                f"{type(network.encoder).__name__} cannot be written as ONNX: {reason_of(error)}; "
                "use --prediction.engine torch, or another --format"
            ) from error
        _check(model, unfinished, type(network.encoder).__name__)
        seal(unfinished)


def _check(model: EmotionClassifier, file: Path, name: str) -> None:
    """Compares a file with the model that it was made of.

    Raises:
        UserError: It cannot be run, or gives other probabilities.
    """
    batches = sample_batches(model)
    reference = reference_probabilities(model, batches)
    try:
        given = probabilities_of(OnnxEngine(file, model.settings.temperature or 1.0), model, batches)
        off = compare(reference, given, model).largest_difference
    except Exception as error:  # ONNX Runtime has many kinds, and another shape is one of PyTorch's
        raise UserError(f"{name} was written as ONNX, but cannot be run: {reason_of(error)}") from error
    if off > SAME_NUMBERS:
        raise UserError(
            f"{name} was written as ONNX, but on {len(reference)} texts its probabilities are off by up to {off:.2g}; "
            "the file is not kept. Please report it, with the backbone's name"
        )


def write_int8(source: Path, path: Path) -> None:
    """Writes a network with 8-bit weights, a scale for each output channel of every matrix product.

    Args:
        source: The network in single precision.
        path: Where to.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with atomic_path(path) as unfinished, _quiet_exporter():
        quantize_dynamic(
            source, unfinished, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
        )
        seal(unfinished)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hides the exporters' remarks about tracing, and the advice to prepare a model that is prepared."""
    level = logging.root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.root.setLevel(level)
