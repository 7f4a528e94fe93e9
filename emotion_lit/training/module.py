"""EmotionClassifier: the LightningModule that fine-tunes an encoder with a classification head."""

import dataclasses
import math
from typing import Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import check_inputs, embed, with_targets
from emotion_lit.model.decision import is_class
from emotion_lit.model.network import Pooling
from emotion_lit.model.settings import ClassWeights, ModelSettings, Schedule
from emotion_lit.model.tuning import LoraSettings, TrainableLayers, Tuning
from emotion_lit.training import weight_averaging
from emotion_lit.training.callbacks.acceleration import Acceleration
from emotion_lit.training.callbacks.step_log import StepLog
from emotion_lit.training.checkpointed_module import CheckpointedModule
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.lightning_tuners import check_tuners
from emotion_lit.training.losses import class_weights_of, make_loss, plain_loss
from emotion_lit.training.metrics import metric_collection
from emotion_lit.training.monitors import check_monitors, report_left_out
from emotion_lit.training.optim import (
    WarmupSchedule,
    accumulation_weight,
    clip_gradients,
    make_optimizer,
    parameter_groups,
)
from emotion_lit.training.prediction_order import PredictionOrder
from emotion_lit.training.settings.attributes import documented_by

Stage = Literal["train", "val", "test"]
SETTINGS = tuple(field.name for field in dataclasses.fields(ModelSettings))


@documented_by(ModelSettings)
class EmotionClassifier(PredictionOrder, CheckpointedModule):
    """Fine-tunes BERT, or any encoder that transformers can classify with, to recognize emotions."""

    def __init__(
        self,
        labels: list[str],
        multi_label: bool = False,
        backbone: str = "bert-base-uncased",
        tuning: Tuning = "lora",
        pooling: Pooling | None = None,
        lora: LoraSettings = LoraSettings(),  # noqa: B008, nothing changes it
        trainable_layers: TrainableLayers = None,
        learning_rate: float | None = None,
        head_learning_rate: float | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.06,
        schedule: Schedule = "linear",
        dropout: float | None = None,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = "none",
        threshold: float | list[float] | None = None,
        temperature: float | None = None,
        cache_features: bool = True,
        compile_encoder: bool = False,
        fast_paths: bool = True,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in SETTINGS}
        super().__init__(ModelSettings(**given))
        self.criterion = make_loss(self.settings)
        self._plain_loss = plain_loss(self.settings)
        self._seed = 0
        self.acceleration, self._step_log = Acceleration(), StepLog()
        self.train_metrics = metric_collection(len(labels), multi_label, "train")
        self.val_metrics = metric_collection(len(labels), multi_label, "val")
        self.test_metrics = metric_collection(len(labels), multi_label, "test")

    # Steps

    def forward(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``; see `batches.classify` for the keys of a batch."""
        check_inputs(batch)
        return self.acceleration.classify(self.built, batch)

    def embed(self, batch: Batch) -> Tensor:
        """Text embeddings, ``[batch, width]``: the input of the last linear layer of the head."""
        check_inputs(batch)
        return embed(self.built, batch)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The training loss, a scalar; logits and targets are ``[batch, classes]``. A subclass may have its own."""
        return self.criterion(logits, targets)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training step."""
        logits = self(batch)
        batch = with_targets(batch, len(self.labels), self.multi_label)
        loss = self.loss(logits, batch["targets"])
        self._log_step("train/loss_step", loss)
        self._update("train", loss.detach(), logits.detach(), batch)
        weight = accumulation_weight(self._trainer, batch_idx)
        return loss if weight == 1 else loss * weight

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One validation step; returns probabilities, ``[batch, classes]``."""
        return self._evaluation_step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One test step; returns probabilities, ``[batch, classes]``."""
        return self._evaluation_step("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One prediction step; returns probabilities, ``[batch, classes]``, NaN for missing texts."""
        if "window" in batch and "input_ids" not in batch:
            return torch.full((len(batch["places"]), len(self.labels)), math.nan)
        check_inputs(batch)
        probabilities = self.memory_limit.run(self._engine or (lambda part: self.probabilities(self(part))), batch)
        return probabilities[: len(batch["places"])] if "places" in batch else probabilities  # others are repeated

    def _evaluation_step(self, stage: Stage, batch: Batch) -> Tensor:
        logits = self.memory_limit.run(self, batch)
        batch = with_targets(batch, len(self.labels), self.multi_label)
        self._update(stage, self._plain_loss(logits, batch["targets"]), logits, batch)
        return self.probabilities(logits)

    def _update(self, stage: Stage, loss: Tensor, logits: Tensor, batch: Batch) -> None:
        name = "train/loss_epoch" if stage == "train" else f"{stage}/loss"
        # At the end of the epoch; in every step the processes would wait for each other.
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=len(logits), sync_dist=True)
        probabilities, targets = self.probabilities(logits), batch["targets"]
        metrics: MetricCollection = getattr(self, f"{stage}_metrics")
        metrics.update(
            predicted=self.decide(probabilities),
            truth=targets > 0 if self.multi_label else is_class(batch["label"], len(self.labels)),
            probabilities=probabilities,
            targets=targets,
        )
        self.log_dict(dict(metrics.items()), on_step=False, on_epoch=True, batch_size=len(logits))

    def _log_step(self, name: str, value: Tensor) -> None:
        self.log(name, value.detach(), logger=False)  # for other callbacks
        self._step_log.note(name, value)

    # Optimization

    def check_callbacks(self, trainer: pl.Trainer) -> None:
        """Checks before training that callbacks watch logged metrics, and that averaged weights are validated."""
        weight_averaging.check_averaging(trainer)
        check_tuners(trainer, self.settings.tuning)
        scores = [str(name) for metrics in (self.train_metrics, self.val_metrics) for name in metrics]
        check_monitors(trainer, ["train/loss_epoch", "val/loss", *scores], complete=type(self) is EmotionClassifier)

    def setup(self, stage: str) -> None:
        """Checks the callbacks, and takes the class weights from the training rows."""
        self._seed = torch.initial_seed() % 2**31
        if stage == "fit":
            self.check_callbacks(self.trainer)
            report_left_out(self.trainer, [self.acceleration, self._step_log])  # the Trainer has them by now
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.criterion = make_loss(self.settings, class_weights_of(self.settings, data))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a learning rate for the encoder and one for the head, warmup, and a schedule by step."""
        optimizer = make_optimizer(self._trainer, self.built, self.settings)
        scheduler = WarmupSchedule(optimizer, self.trainer, self.settings)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradients of a fused optimizer too."""
        if gradient_clip_val:
            norm = clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)
            if norm is not None:
                self._log_step("train/gradient_norm", norm)

    def configure_callbacks(self) -> list[pl.Callback]:
        """The callbacks that every Trainer of this model needs."""
        return [self.acceleration, self._step_log]

    def on_fit_start(self) -> None:
        """Keeps the settings of the data, for checkpoints."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.trained_on = data.settings.saved if isinstance(data, EmotionDataModule) else {}

    def on_train_start(self) -> None:
        """Lets learning rates and weight decay from the settings replace those of a resumed optimizer."""
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, WarmupSchedule):  # a subclass may have another one
            scheduler.override_resumed_optimizer(parameter_groups(self.built, self.settings), self.global_step)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes dropout a function of the batch, so that a resumed run draws what an uninterrupted one would."""
        place = self.trainer.fit_loop.total_batch_idx * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(self._seed * 1_000_003 + place)
