"""The callback of a trial: reports scores inside epochs, ends hopeless trials, and keeps to the budget."""

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from optuna import TrialPruned
from optuna.trial import Trial

from emotion_lit.errors import UserError
from emotion_lit.evaluation.collector import PredictionCollector
from emotion_lit.evaluation.metrics import evaluate_predictions
from emotion_lit.sweep.budget import ALIVE, EPOCH, EPOCHS, SETUP, TEST_ROWS, TEXT, closing_seconds
from emotion_lit.sweep.space import rounded
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import callback_of, data_of, model_of
from emotion_lit.training.callbacks.time_estimate import TimeEstimate
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils.durations import duration
from emotion_lit.utils.platforms import synchronize

# A trial is scored after each of these parts of its training, except for the last one; a short one after fewer.
PARTS = 8
# Scoring may take this share of the training time. A training step takes about three times as long as scoring.
SCORING_SHARE, SCORES_PER_STEP = 0.02, 3
FEWEST_ROWS, MOST_ROWS = 100, 2000
BATCH_ROWS = 64
# Seconds between signs of life, which tell other processes that this one runs.
ALIVE_SECONDS = 60.0


class TrialCallback(pl.Callback):
    """Reports the monitored metric at fixed parts of the training, and stops training where that is decided.

    All trials of a sweep are scored on the same validation rows, at the same parts of their learning-rate schedule.
    Scoring draws no random numbers: a trial that is not stopped has the weights of an ordinary run.

    Args:
        trial: The trial.
        deadline: When the sweep has to end, in seconds since the epoch; None if it is not limited.
        is_first: Whether no trial has been timed yet, so that the budget may be too small for any.
        on_start: Called with the model when its network is built.

    Attributes:
        cut: Whether the training was stopped because the budget is used up.
        share: The part of the training that was done.
    """

    def __init__(
        self,
        trial: Trial,
        deadline: float | None,
        is_first: bool,
        on_start: Callable[[EmotionClassifier], None] | None = None,
    ) -> None:
        self.trial = trial
        self.deadline = deadline
        self.is_first = is_first
        self.on_start = on_start
        self.cut = False
        self.share = 0.0
        self._rows: list[int] = []
        self._parts: list[int] = []
        self._began = self._train_began = self._alive = time.time()
        self._steps = 0.0
        self._part = 0
        self._closing = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Records the values that the settings' defaults have."""
        if self.on_start:
            self.on_start(model_of(self, pl_module))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the rows that trials are scored on, and checks that the budget is enough for one trial.

        Raises:
            UserError: The budget is shorter than one trial.
        """
        model, data = model_of(self, pl_module), data_of(self, trainer)
        study = self.trial.study
        if TEXT not in study.user_attrs:
            study.set_user_attr(TEST_ROWS, len(data.rows("test")))
            study.set_user_attr(TEXT, _seconds_per_text(trainer, model, data))
        self._steps = float(trainer.estimated_stepping_batches)
        self._parts, rows = _scoring_schedule(data, study.user_attrs[EPOCHS])
        self._rows = _scoring_rows(data, rows)
        scoring = study.user_attrs[TEXT] * len(data.rows("validation"))
        self._closing = closing_seconds(study.user_attrs) + scoring
        self._train_began = time.time()
        self.trial.set_user_attr(SETUP, self._train_began - self._began)
        estimate = callback_of(self, trainer, TimeEstimate).seconds
        if self.is_first and self.deadline is not None and estimate is not None:
            needed = self._train_began - self._began + estimate + self._closing
            if time.time() + estimate + self._closing > self.deadline:
                raise UserError(
                    f"the budget is shorter than one trial, which takes about {duration(needed)}, with the scores on "
                    "the test split; give a larger --budget, or a smaller --data.train_size or --trainer.max_epochs"
                )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Reports a score if it is due, and stops at the end of the budget.

        Raises:
            TrialPruned: The trial is worse than most others were at this part of their training.
        """
        now = time.time()
        if now - self._alive > ALIVE_SECONDS:
            self._alive = now
            self.trial.set_user_attr(ALIVE, now)
        if self.deadline is not None and now > self.deadline - self._closing and not trainer.should_stop:
            self.cut = trainer.should_stop = True  # Lightning validates once more, which may be the best checkpoint
        done = int(PARTS * trainer.global_step / self._steps)
        part = max((one for one in self._parts if one <= done), default=0)
        if part > self._part and done < PARTS:
            self._part = part
            score = self._score(trainer, model_of(self, pl_module), data_of(self, trainer))
            self.trial.report(score, part)
            if not self.cut and self.trial.should_prune():
                self._record(trainer)
                self._show(trainer, score)
                raise TrialPruned

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Records how long the training took."""
        self._record(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows the finished trial under HPARAMS in TensorBoard."""
        keeper = best_checkpoint(trainer)
        if keeper and keeper.best_model_score is not None:
            self._show(trainer, float(keeper.best_model_score))

    def _show(self, trainer: pl.Trainer, score: float) -> None:
        if isinstance(trainer.logger, TensorBoardLogger):
            settings = {key: rounded(value) for key, value in self.trial.params.items()}
            seconds = time.time() - self._began
            metrics = {"sweep/score": score, "sweep/seconds": seconds, "sweep/share_of_training": self.share}
            trainer.logger.log_hyperparams(settings, metrics, trainer.global_step)
            trainer.logger.save()

    def _record(self, trainer: pl.Trainer) -> None:
        self.share = min(1.0, trainer.global_step / self._steps)
        seconds = time.time() - self._train_began
        epochs = trainer.current_epoch if self.share == 1.0 else self.share * (trainer.max_epochs or 0)
        if epochs > 0:
            self.trial.set_user_attr(EPOCH, seconds / epochs)
        self.trial.set_user_attr("train_seconds", seconds)
        self.trial.set_user_attr("share", self.share)

    def _score(self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> float:
        """The monitored metric on the rows that trials are scored on."""
        keeper = best_checkpoint(trainer)
        metric = str(keeper.monitor if keeper else "val/macro_f1").removeprefix("val/")
        collected, dataset = PredictionCollector(), data.prepared("validation")
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(self._rows), BATCH_ROWS):
                batch = dataset[self._rows[start : start + BATCH_ROWS]]
                with trainer.precision_plugin.val_step_context():
                    probabilities = model.probabilities(model(trainer.strategy.batch_to_device(batch)))
                collected.add(probabilities, batch)
        model.train(was_training)
        predictions = collected.predictions(model.multi_label, list(model.decision.thresholds))
        return float(evaluate_predictions(predictions, [], [])[metric])


def _scoring_schedule(data: EmotionDataModule, epochs: float) -> tuple[list[int], int]:
    """After which parts of its training a trial is scored, and on how many rows: the same for all trials.

    Args:
        data: The data, set up.
        epochs: The epochs of the configuration as given.
    """
    if data.prepared("validation").features is not None:
        return list(range(1, PARTS)), MOST_ROWS
    rows = len(data.rows("train")) * epochs * SCORING_SHARE * SCORES_PER_STEP
    count = min(PARTS - 1, max(1, int(rows / FEWEST_ROWS)))
    parts = [round(PARTS * number / (count + 1)) for number in range(1, count + 1)]
    return parts, int(min(MOST_ROWS, max(FEWEST_ROWS, rows / count)))


def _scoring_rows(data: EmotionDataModule, count: int) -> list[int]:
    """The validation rows that trials are scored on, spread evenly over the split, in order of length."""
    dataset = data.prepared("validation")
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))
    order: list[int] = chosen[np.argsort(dataset.padded_lengths[chosen], kind="stable")].tolist()
    return order


def _seconds_per_text(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> float:
    """How long scoring a text takes, with the encoder even where its outputs are cached."""
    dataset = data.prepared("validation")
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(BATCH_ROWS, len(dataset))).astype(int)).tolist()
    with dataset.without_outputs():
        batch = trainer.strategy.batch_to_device(dataset[chosen])
    was_training = model.training
    model.eval()
    seconds = []
    for _ in range(2):  # the first pass is a warm-up
        start = time.perf_counter()
        with torch.inference_mode(), trainer.precision_plugin.val_step_context():
            model(batch)
        synchronize(model.device)
        seconds.append(time.perf_counter() - start)
    model.train(was_training)
    return min(seconds) / len(chosen)
