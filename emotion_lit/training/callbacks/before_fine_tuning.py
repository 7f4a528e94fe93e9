"""Scores the model before fine-tuning."""

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.evaluation.labeled_predictions import Floats
from emotion_lit.training.callbacks.context import data_of, is_reported, model_of
from emotion_lit.training.split_predictions import predict_split
from emotion_lit.utils.console import say


class BeforeFineTuning(pl.Callback):
    """Predicts the test rows with the pre-trained model and its untrained head, once in a run, resumed or not.

    Attributes:
        seconds: How long it took.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._probabilities: Tensor | None = None

    @property
    def state_key(self) -> str:
        """The key in checkpoints, which is the class name of earlier versions."""
        return "Baseline"

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predicts, unless a run that is being resumed has done so."""
        if self._probabilities is not None or not is_reported(trainer):
            return
        if trainer.ckpt_path:  # the model is already fine-tuned
            say("the scores before fine-tuning are not known for these test rows; the report leaves them out")
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        start = time.perf_counter()
        collected = predict_split(trainer, model, data, "test", "before training, test")
        predictions = collected.predictions(model.multi_label, list(model.decision.thresholds))
        self._probabilities = torch.from_numpy(predictions.probabilities_or_nan).float()
        self.seconds = time.perf_counter() - start

    def probabilities(self, rows: int) -> Floats | None:
        """The probabilities of the test rows, ``[rows, classes]``; None if they are those of other test rows.

        Args:
            rows: The number of test rows.
        """
        if self._probabilities is None or len(self._probabilities) != rows:
            return None
        return self._probabilities.double().numpy()

    def state_dict(self) -> dict[str, Any]:
        """The probabilities, for a resumed run, whose model is already fine-tuned."""
        return {"probabilities": self._probabilities, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self._probabilities, self.seconds = state_dict["probabilities"], state_dict["seconds"]
