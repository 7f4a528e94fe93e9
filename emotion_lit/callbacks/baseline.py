"""Measures the untouched model before the first step."""

from typing import Any

import lightning.pytorch as pl

from emotion_lit.callbacks.evaluation import Scores, evaluate
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.model.classifier import EmotionClassifier


class Baseline(pl.Callback):
    """Scores the pre-trained model with its fresh head on validation and test, once a run, resumed or not."""

    def __init__(self) -> None:
        self.scores: dict[str, Scores] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures, unless the run that is being resumed already has."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if self.scores or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, EmotionClassifier)
        assert isinstance(data, EmotionDataModule)
        for split in ("validation", "test"):
            self.scores[split] = evaluate(trainer, pl_module, data, split, f"before training, {split}")

    def state_dict(self) -> dict[str, Any]:
        """The scores, for a resumed run, whose model is no longer untouched."""
        return self.scores

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the scores of the run that is being resumed.

        Args:
            state_dict: What `state_dict` gave.
        """
        self.scores = state_dict
