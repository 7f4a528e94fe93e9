"""Writes a trained network as ONNX: in single precision, and with 8-bit weights."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotion_lit.errors import UserError
from emotion_lit.inference.agreement import SAME_NUMBERS, compare, probabilities_of, reference_probabilities
from emotion_lit.inference.lora_merge import merged_network
from emotion_lit.inference.onnx_engine import OnnxEngine, need_onnx
from emotion_lit.inference.sample_texts import sample_batches
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.network import Network
from emotion_lit.model.probe import Probe, error_summary
from emotion_lit.utils.checksums import append_checksum
from emotion_lit.utils.files import atomic_path

OPSET = 18


class _Logits(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.network(input_ids, attention_mask)  # type: ignore[no-any-return]


def write_onnx(model: TrainedNetwork, path: Path) -> None:
    """Writes a network in single precision: ``input_ids`` and ``attention_mask`` in, ``logits`` out, of any size.

    Adapters are merged, and the logits are divided by the temperature. The file gets its name after a comparison with
    PyTorch.

    Args:
        model: The trained model.
        path: The file to write.

    Raises:
        UserError: The packages for ONNX are missing, the architecture cannot be written, or the file is wrong.
    """
    need_onnx()
    network, probe = merged_network(model), Probe(model.tokenizer)
    network.encoder.set_attn_implementation("eager")  # the fused one is written as the same operations
    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    # The exporter leaves inner modules in their mode, dropout included.
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
                # The newer exporter takes ten times as long, and its files run at 0.85 of the speed.
                dynamo=False,
            )
        except OSError:
            raise
        except Exception as error:  # tracing runs the code of any architecture
            raise UserError(
                f"{type(network.encoder).__name__} cannot be written as ONNX: {error_summary(error)}; "
                "use --prediction.engine torch, or another --format"
            ) from error
        _check(model, unfinished, type(network.encoder).__name__)
        append_checksum(unfinished)


def _check(model: TrainedNetwork, file: Path, name: str) -> None:
    """Compares a file with the model.

    Raises:
        UserError: It cannot be run, or gives other probabilities.
    """
    batches = sample_batches(model.tokenizer)
    reference = reference_probabilities(model, batches)
    try:
        engine = OnnxEngine(file, replace(model.decision, temperature=1.0))
        off = compare(reference, probabilities_of(engine, batches), model.decision).largest_difference
    except Exception as error:  # ONNX Runtime has many kinds, and another shape is one of PyTorch's
        raise UserError(f"{name} was written as ONNX, but cannot be run: {error_summary(error)}") from error
    if off > SAME_NUMBERS:
        raise UserError(
            f"{name} was written as ONNX, but on {len(reference)} texts its probabilities are off by up to {off:.2g}; "
            "the file is not kept. Please report it, with the backbone's name"
        )


def write_int8(source: Path, path: Path) -> None:
    """Writes a network with 8-bit weights, with one scale for each output channel of a matrix product.

    Args:
        source: The network in single precision.
        path: The file to write.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with atomic_path(path) as unfinished, _quiet_exporter():
        quantize_dynamic(
            source, unfinished, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
        )
        append_checksum(unfinished)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hides the exporters' warnings about tracing, and the advice to preprocess a model that is preprocessed."""
    level = logging.root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.root.setLevel(level)
