"""Chooses the engine of a prediction on the texts themselves: the fastest one that agrees."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
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
    WatchedEngine,
    forget_onnx,
    make_engine,
    why_refused,
)
from emotion_lit.inference.onnx import has_onnx, need_onnx
from emotion_lit.model.fast_paths import Probe, take_attention
from emotion_lit.model.precision import BFLOAT, native_precision
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say

# The rows that an engine is compared on; of a short input, a twentieth is, but no less than 500 rows.
GATE_ROWS, FEWEST_ROWS, GATE_SHARE = 2000, 500, 20
# Texts to measure the speed on, and the input from which on measuring pays.
TIMED_ROWS, WORTH_IT = 256, 1000


class EngineChoice(pl.Callback):
    """Gives the model the engine that `prediction.engine` asks for.

    Args:
        checkpoint: The model's checkpoint.
        bf16: Whether half precision may be tried.
    """

    def __init__(self, checkpoint: Path, bf16: bool) -> None:
        self.checkpoint = checkpoint
        self.bf16 = bf16

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets the first process choose, or takes the engine of the earlier run that this one goes on with."""
        model = model_of(self, pl_module)
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        writer = next((one for one in callbacks if isinstance(one, PredictionWriter)), None)
        if writer is None:
            raise UserError("the callback EngineChoice asks PredictionWriter what to choose; give the Trainer both")
        if model.settings.fast_paths and model.device.type == "cpu" and model.network is not None:
            take_attention(model.network, Probe(model.tokenizer))
        name = writer.decide(lambda earlier: self._choose(writer, trainer, model, earlier))
        if name != TORCH:  # without an engine, the model computes
            try:
                engine = make_engine(name, model, self.checkpoint)
                model.engine = WatchedEngine(name, engine, model, refused=writer.go_on_with_torch)
            except Exception as error:  # on another process than the one that has chosen
                say(f"{name} is not used: {why_refused(error)}; PyTorch goes on", from_all=True)
        if writer.engine != TORCH and distributed.rank() == 0:
            say(f"engine: {name}")

    def _choose(
        self, writer: PredictionWriter, trainer: pl.Trainer, model: EmotionClassifier, earlier: str | None
    ) -> str:
        """The engine by its name.

        Args:
            writer: What the user asks for.
            trainer: The Trainer.
            model: The model.
            earlier: The engine of the run that this one goes on with, which is looked at once more.
        """
        if TORCH in (earlier, writer.engine):
            return TORCH
        data = data_of(self, trainer)
        int8 = [ONNX_INT8] if writer.quantize == "int8" else []
        known = GATE_ROWS * GATE_SHARE if data.predict_rows is None else data.predict_rows
        if earlier is not None:
            candidates = [earlier]
        elif writer.engine == ONNX:
            need_onnx()
            candidates = [*int8, ONNX]
        elif known < WORTH_IT or model.device.type != "cpu":
            return TORCH
        else:
            bf16 = [TORCH_BF16] if self.bf16 and native_precision("cpu") == BFLOAT else []
            candidates = [TORCH, *bf16, *([ONNX, *int8] if has_onnx() else [])]
        batches = data.stream.first_batches(min(GATE_ROWS, max(FEWEST_ROWS, known // GATE_SHARE)))
        if not batches:
            return earlier or TORCH
        return choose(candidates, model, batches, self.checkpoint, timed=TORCH in candidates, again=bool(earlier))


@torch.inference_mode()
def choose(
    candidates: Sequence[str],
    model: EmotionClassifier,
    batches: Sequence[Batch],
    checkpoint: Path,
    timed: bool,
    again: bool = False,
) -> str:
    """The fastest engine that passes the gate; PyTorch, with which all are compared, where none does.

    With 95% confidence at least 99% of the labels are PyTorch's in single precision, and probabilities are off by less
    than 0.01 on average. ONNX in single precision has to give the same numbers, and fewer rows will do for it.

    Args:
        candidates: Engines by name.
        model: The model.
        batches: Texts to try them on.
        checkpoint: The model's checkpoint.
        timed: Whether to measure their speed, or to take them in the order given.
        again: Whether they have passed before, and only should not fail on other texts.
    """
    engines: dict[str, Engine] = {}
    speeds: dict[str, float] = {}
    for name in candidates:
        with _refused(name):
            engine = CheckedEngine(make_engine(name, model, checkpoint), len(model.labels))
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
        with _refused(name):
            found = compare(reference, probabilities_of(engines[name], model, batches), model)
            if _passes(name, found, again):
                say(f"{name}: {found}")
                return name
            _say_refused(name, found)
            if name == ONNX:
                forget_onnx(model, checkpoint)
    return TORCH


def _passes(name: str, found: Agreement, again: bool) -> bool:
    if found.mean_difference >= MEAN_DIFFERENCE or (name == ONNX and found.largest_difference > SAME_NUMBERS):
        return False
    if again:
        return found.at_most >= SAME_LABELS
    return found.at_least >= SAME_LABELS or (name == ONNX and not found.differing)


def _say_refused(name: str, found: Agreement) -> None:
    if math.isinf(found.largest_difference):
        say(f"{name} is not used: it gives probabilities that are no finite numbers")
        return
    needed = f"{SAME_LABELS:.0%} and {MEAN_DIFFERENCE} are needed"
    if name == ONNX and found.largest_difference > SAME_NUMBERS:
        needed = f"one is off by {found.largest_difference:.2g}, and {SAME_NUMBERS} is the most; its file is made anew"
    elif not found.differing and found.mean_difference < MEAN_DIFFERENCE:
        needed += f", for which {math.ceil(math.log(1 - CONFIDENCE) / math.log(SAME_LABELS))} rows have to be compared"
    say(f"{name}: {found}; not used, {needed}")


@contextlib.contextmanager
def _refused(name: str) -> Iterator[None]:
    """Goes on without an engine that dies."""
    try:
        yield
    except Exception as error:
        say(f"{name} is not used: {why_refused(error)}")


def _speed(engine: Engine, batches: Sequence[Batch]) -> float:
    """Texts per second, on batches from the middle of the lengths."""
    middle, chosen, rows = len(batches) // 2, [], 0
    for batch in (*batches[middle:], *batches[:middle]):
        chosen.append(batch)
        rows += len(batch["row"])
        if rows >= TIMED_ROWS:
            break
    engine(chosen[0])  # the first time of anything takes longer
    start = time.perf_counter()
    for batch in chosen:
        engine(batch)
    return rows / (time.perf_counter() - start)
