"""Measures the untouched model before the first step."""

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.evaluation.predictions import Floats
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.callbacks.evaluation import collect
from emotion_lit.utils.console import say


class Baseline(pl.Callback):
    """What the pre-trained model with its fresh head says about the test rows, once a run, resumed or not.

    Attributes:
        seconds: How long it took.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._probabilities: Tensor | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures, unless the run that is being resumed already has."""
        if self._probabilities is not None:
            return
        if trainer.ckpt_path:  # the model is trained already
            say("the score from before the training is not known for these test rows, and the report goes without")
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        start = time.perf_counter()
        said = collect(trainer, model, data, "test", "before training, test").outputs(model)
        self._probabilities = torch.from_numpy(said.measured).float()
        self.seconds = time.perf_counter() - start

    def probabilities(self, rows: int) -> Floats | None:
        """What it said, ``[rows, classes]``; None where the test rows are not those of then any more.

        Args:
            rows: How many test rows there are.
        """
        if self._probabilities is None or len(self._probabilities) != rows:
            return None
        return self._probabilities.double().numpy()

    def state_dict(self) -> dict[str, Any]:
        """What was measured, for a resumed run, whose model is no longer untouched."""
        return {"probabilities": self._probabilities, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what the run that is being resumed has measured.

        Args:
            state_dict: What `state_dict` gave.
        """
        self._probabilities, self.seconds = state_dict["probabilities"], state_dict["seconds"]
