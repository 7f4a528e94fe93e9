"""Chooses the engine of a prediction on the texts themselves: the fastest one that agrees."""

import time
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit import processes
from emotion_lit.callbacks.predictions import PredictionWriter
from emotion_lit.console import say
from emotion_lit.data.batching import Batch
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.inference.engines import ONNX, ONNX_INT8, TORCH, TORCH_BF16, Engine, make_engine, onnx_file
from emotion_lit.inference.onnx_files import has_onnx
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.model.fast_paths import Probe, take_attention
from emotion_lit.model.precision import BFLOAT, native_precision

EXACT = (TORCH, ONNX)
# The gate of an engine with fewer bits; of a short input, a twentieth is tried, but no less than 500 rows.
GATE_ROWS, FEWEST_ROWS, GATE_SHARE = 2000, 500, 20
SAME_LABELS, MEAN_DIFFERENCE = 0.99, 0.01
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
        assert isinstance(pl_module, EmotionClassifier)
        writer = next(one for one in trainer.callbacks if isinstance(one, PredictionWriter))  # type: ignore[attr-defined]
        if pl_module.fast_paths and pl_module.device.type == "cpu" and pl_module.network is not None:
            take_attention(pl_module.network, Probe(pl_module.tokenizer))
        name = writer.decide(lambda: self._choose(writer, trainer, pl_module))
        if writer.engine != TORCH and processes.rank() == 0:
            say(f"engine: {name}")
        if name in (ONNX, ONNX_INT8) and processes.count() > 1:  # one writes the file, which all read
            processes.first(lambda: onnx_file(pl_module, self.checkpoint, int8=name == ONNX_INT8))
        pl_module.engine = make_engine(name, pl_module, self.checkpoint)

    def _choose(self, writer: PredictionWriter, trainer: pl.Trainer, model: EmotionClassifier) -> str:
        data: EmotionDataModule = trainer.datamodule  # type: ignore[attr-defined]
        int8 = [ONNX_INT8] if writer.quantize == "int8" else []
        if writer.engine == TORCH or (writer.engine == ONNX and not int8):
            return writer.engine
        known = GATE_ROWS * GATE_SHARE if data.predict_rows is None else data.predict_rows
        batches = data.stream.first_batches(min(GATE_ROWS, max(FEWEST_ROWS, known // GATE_SHARE)))
        if writer.engine == ONNX:
            candidates = [ONNX_INT8, ONNX]
        elif known < WORTH_IT or model.device.type != "cpu":
            return TORCH
        else:
            bf16 = [TORCH_BF16] if self.bf16 and native_precision("cpu") == BFLOAT else []
            candidates = [TORCH, *bf16, *([ONNX, *int8] if has_onnx() else [])]
        return choose(candidates, model, batches, self.checkpoint, timed=writer.engine != ONNX)


@torch.inference_mode()
def choose(
    candidates: Sequence[str], model: EmotionClassifier, batches: Sequence[Batch], checkpoint: Path, timed: bool
) -> str:
    """The fastest engine that passes the gate.

    An engine with fewer bits passes if at least 99% of the labels stay the same, and probabilities differ by less than
    0.01 on average.

    Args:
        candidates: Engines by name, one of them in single precision.
        model: The model.
        batches: Texts to try them on.
        checkpoint: The model's checkpoint.
        timed: Whether to measure their speed, or to take them in the order given.
    """
    if not batches:
        return next(name for name in candidates if name in EXACT)
    engines = {name: make_engine(name, model, checkpoint) for name in candidates}
    if timed:
        speeds = {name: _speed(engine, batches) for name, engine in engines.items()}
        say("texts/s: " + ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items()))
        candidates = sorted(candidates, key=lambda name: -speeds[name])
    exact = next(name for name in candidates if name in EXACT)
    reference: Tensor | None = None
    for name in candidates:
        if name == exact:
            return exact
        if reference is None:
            reference = _probabilities(model, engines[exact], batches)
        same, difference = agreement(reference, _probabilities(model, engines[name], batches))
        verdict = f"{name}: {same:.2%} of {len(reference):,} labels as in single precision, "
        verdict += f"probabilities off by {difference:.4f} on average"
        if same >= SAME_LABELS and difference < MEAN_DIFFERENCE:
            say(verdict)
            return name
        say(f"{verdict}; not used, {SAME_LABELS:.0%} and {MEAN_DIFFERENCE} are needed")
    return exact


def agreement(reference: Tensor, others: Tensor) -> tuple[float, float]:
    """How near probabilities are to others.

    Args:
        reference: ``[rows, classes]``.
        others: Likewise.

    Returns:
        The share of rows whose most probable class is the same, and the mean difference of a probability.
    """
    same = (reference.argmax(dim=1) == others.argmax(dim=1)).double().mean()
    return float(same), float((reference - others).abs().mean())


def _probabilities(model: EmotionClassifier, engine: Engine, batches: Sequence[Batch]) -> Tensor:
    return torch.cat([model.probabilities(engine(batch)).float() for batch in batches])


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
