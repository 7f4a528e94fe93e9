"""Sets the engine of the model according to `prediction.engine`."""

from pathlib import Path

import lightning.pytorch as pl
import torch

from emotion_lit.inference.engine_candidates import EngineRequest, choose_for_input
from emotion_lit.inference.engine_selection import make_engine
from emotion_lit.inference.engines import TORCH, FallbackEngine, TorchEngine, engine_error
from emotion_lit.model.fast_paths import install_eager_attention
from emotion_lit.model.half_weights import with_half_weights
from emotion_lit.model.precision import BFLOAT, HALF
from emotion_lit.model.probe import Probe
from emotion_lit.training.callbacks.context import callback_of, data_of, model_of
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say

# Precisions in which the weights are cast.
MIXED = {BFLOAT: torch.bfloat16, HALF: torch.float16}


class EngineChoice(pl.Callback):
    """Sets the engine of the model according to `prediction.engine`.

    Args:
        checkpoint: The model's checkpoint.
        bf16: Whether half precision may be tried.
    """

    def __init__(self, checkpoint: Path, bf16: bool) -> None:
        self.checkpoint = checkpoint
        self.bf16 = bf16

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses on the first process; a resumed prediction keeps its engine."""
        model = model_of(self, pl_module)
        writer = callback_of(self, trainer, PredictionWriter)
        if model.settings.fast_paths and model.device.type == "cpu" and model.network is not None:
            install_eager_attention(model.network, Probe(model.tokenizer))
        name = writer.decide(lambda earlier: self._choose(writer, trainer, model, earlier))
        dtype = MIXED.get(str(trainer.precision))
        if name == TORCH:  # without an engine, the model itself computes
            if dtype is not None and model.network is not None and model.settings.fast_paths:
                network = with_half_weights(model.network, dtype, model.tokenizer)
                model.predict_with(TorchEngine(network, model.decision, dtype))
        else:
            trained = model.trained
            try:
                engine, fallback = make_engine(name, trained, self.checkpoint), TorchEngine(model.built, model.decision)
                model.predict_with(FallbackEngine(name, engine, fallback, on_fallback=writer.fall_back_to_torch))
            except Exception as error:  # on another process than the one that has chosen
                say(f"{name} is not used: {engine_error(error)}; continuing with PyTorch", from_all=True)
        if writer.engine != TORCH and distributed.rank() == 0:
            say(f"engine: {name}")

    def _choose(
        self, writer: PredictionWriter, trainer: pl.Trainer, model: EmotionClassifier, earlier: str | None
    ) -> str:
        """The name of the engine.

        Args:
            writer: The settings of the prediction.
            trainer: The Trainer.
            model: The model.
            earlier: The engine of the run that this one resumes; it is compared again.
        """
        data = data_of(self, trainer)
        return choose_for_input(
            EngineRequest(writer.engine, writer.quantize, self.bf16),
            model.trained,
            data.stream.first_batches,
            data.predict_rows,
            self.checkpoint,
            model.device.type,
            earlier,
        )
