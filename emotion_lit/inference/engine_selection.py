"""Selects the engine of a prediction on its own texts: the fastest one that agrees with PyTorch."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.inference.agreement import (
    CONFIDENCE,
    MEAN_DIFFERENCE,
    SAME_LABELS,
    SAME_NUMBERS,
    Agreement,
    compare,
    probabilities_of,
    reference_probabilities,
)
from emotion_lit.inference.engines import (
    ONNX,
    ONNX_INT8,
    TORCH,
    TORCH_BF16,
    CheckedEngine,
    Engine,
    TorchEngine,
    engine_error,
)
from emotion_lit.inference.onnx_cache import onnx_file, remove_onnx
from emotion_lit.inference.onnx_engine import OnnxEngine
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.half_weights import with_half_weights
from emotion_lit.utils.console import say

# The number of texts on which the speed is measured.
TIMED_ROWS = 256


def make_engine(name: str, model: TrainedNetwork, checkpoint: Path | None = None) -> Engine:
    """Makes an engine.

    Args:
        name: One of `ENGINES`.
        model: The trained model.
        checkpoint: Its checkpoint; ONNX files are kept next to it.

    Raises:
        UserError: The packages for ONNX are missing, or the architecture cannot be written as ONNX.
    """
    if name == TORCH:
        return TorchEngine(model.network, model.decision)
    if name == TORCH_BF16:
        network = model.network
        if model.settings.fast_paths:
            network = with_half_weights(network, torch.bfloat16, model.tokenizer)
        return TorchEngine(network, model.decision, torch.bfloat16)
    # The file contains the temperature.
    return OnnxEngine(onnx_file(model, checkpoint, int8=name == ONNX_INT8), replace(model.decision, temperature=1.0))


@torch.inference_mode()
def choose(
    candidates: Sequence[str],
    model: TrainedNetwork,
    batches: Sequence[Batch],
    checkpoint: Path | None,
    timed: bool,
    again: bool = False,
) -> str:
    """Chooses the fastest engine that agrees with PyTorch in single precision; PyTorch, if none does.

    To agree, at least 99% of the labels have to be the same with 95% confidence, and probabilities have to differ by
    less than 0.01 on average. ONNX in single precision has to give the same probabilities, so it needs fewer rows.

    Args:
        candidates: Names of engines.
        model: The trained model.
        batches: The texts to compare on, as tokens.
        checkpoint: The model's checkpoint; ONNX files are kept next to it.
        timed: Whether to measure the speed of the candidates; else they are tried in the given order.
        again: Whether the candidate was chosen by an earlier run, so that it is only rejected if the texts show that
            it disagrees.

    Returns:
        The engine's name.
    """
    engines: dict[str, Engine] = {}
    speeds: dict[str, float] = {}
    for name in candidates:
        with _rejected_if_it_fails(name):
            engine = CheckedEngine(make_engine(name, model, checkpoint), len(model.decision.labels))
            speeds[name] = _speed(engine, batches) if timed else 0.0
            engines[name] = engine
    if timed:
        say("texts/s: " + ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items()))
    reference: Tensor | None = None
    for name in sorted(engines, key=lambda name: -speeds[name]):
        if name == TORCH:
            return TORCH
        if reference is None:
            reference = reference_probabilities(model, batches)
        with _rejected_if_it_fails(name):
            agreement = compare(reference, probabilities_of(engines[name], batches), model.decision)
            if _agrees(name, agreement, again):
                say(f"{name}: {agreement}")
                return name
            say(_rejection(name, agreement))
            if name == ONNX:
                remove_onnx(model, checkpoint)
    return TORCH


def _agrees(name: str, agreement: Agreement, again: bool) -> bool:
    if agreement.mean_difference >= MEAN_DIFFERENCE:
        return False
    if name == ONNX and agreement.largest_difference > SAME_NUMBERS:
        return False
    if again:
        return agreement.at_most >= SAME_LABELS
    return agreement.at_least >= SAME_LABELS or (name == ONNX and not agreement.differing)


def _rejection(name: str, agreement: Agreement) -> str:
    if math.isinf(agreement.largest_difference):
        return f"{name} is not used: its probabilities are not finite"
    required = Agreement.required()
    if name == ONNX and agreement.largest_difference > SAME_NUMBERS:
        required = (
            f"one differs by {agreement.largest_difference:.2g}, more than {SAME_NUMBERS}; its file is written again"
        )
    elif not agreement.differing and agreement.mean_difference < MEAN_DIFFERENCE:
        required += f", which takes {math.ceil(math.log(1 - CONFIDENCE) / math.log(SAME_LABELS))} rows to show"
    return f"{name} is not used: {agreement}; {required}"


@contextlib.contextmanager
def _rejected_if_it_fails(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        say(f"{name} is not used: {engine_error(error)}")


def _speed(engine: Engine, batches: Sequence[Batch]) -> float:
    """Texts per second, on batches from the middle of the lengths."""
    middle, chosen, rows = len(batches) // 2, [], 0
    for batch in (*batches[middle:], *batches[:middle]):
        chosen.append(batch)
        rows += len(batch["row"])
        if rows >= TIMED_ROWS:
            break
    engine(chosen[0])  # the first call takes longer
    start = time.perf_counter()
    for batch in chosen:
        engine(batch)
    return rows / (time.perf_counter() - start)
