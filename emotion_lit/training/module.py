"""EmotionClassifier: the LightningModule around an encoder, its head, and optional LoRA."""

import contextlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import BatchSampler
from emotion_lit.data.labels.label_set import check_names
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.errors import UserError
from emotion_lit.model import backbone as backbones
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.batches import Batch, check_inputs, labelled, put_in_order, rows_of
from emotion_lit.model.decision import DEFAULT_THRESHOLD, Decision
from emotion_lit.model.fast_paths import (
    Probe,
    check_network,
    check_step,
    leave_training_paths,
    take_fast_paths,
    take_training_paths,
)
from emotion_lit.model.network import Network, Pooling
from emotion_lit.model.positions import longest_text
from emotion_lit.model.tuning import LoraSettings, TrainableLayers, Tuning, apply_tuning
from emotion_lit.training import weight_averaging
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.lightning_tuners import check_tuners
from emotion_lit.training.metrics import metric_collection
from emotion_lit.training.monitors import check_monitors
from emotion_lit.training.optim import (
    DEFAULT_HEAD_LEARNING_RATES,
    ParameterGroup,
    Schedule,
    balanced_pos_weights,
    balanced_weights,
    default_learning_rate,
    learning_rate_factor,
    parameter_groups,
)
from emotion_lit.training.strategies import prepare_strategy
from emotion_lit.utils import distributed, fork_safety
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed
from emotion_lit.utils.paths import expanded

Stage = Literal["train", "val", "test"]
NOT_BUILT = "the model has no network yet; call model.build() first, or give it to a Trainer"


class EmotionClassifier(pl.LightningModule):
    """BERT, or any encoder that transformers can classify with, fine-tuned to recognise emotions.

    Args:
        labels: The classes in the order of their ids; on the command line they come from the data.
        multi_label: Whether a text may have several classes; on the command line it comes from the data.
        backbone: The pre-trained encoder: a Hub id, a folder with a transformers model, or `embedded`.
        tuning: What trains: `head` (the encoder is frozen), `lora` (adapters and head), or `full`.
        pooling: `cls` is the encoder's own head, which transformers can load; `mean` is the means of three
            layers and a two-layer head. By default `mean` for `head`, `cls` for `lora` and `full`.
        lora: The adapters.
        trainable_layers: How many upper layers of the encoder train, or get adapters, with `full` and `lora`: a number
            of layers, or a share such as 0.67; 1.0 leaves out the embeddings alone. By default everything.
        learning_rate: Learning rate of the encoder or its adapters. By default one that suits the encoder's width: for
            BERT-base 5e-4 with `lora` and 5e-5 with `full`.
        head_learning_rate: Learning rate of pooler and classifier. By default 3e-4 with `head`, else 1e-3.
        weight_decay: Weight decay of AdamW; biases and norms have none.
        warmup: Share of the steps over which the learning rates rise from zero.
        schedule: How they fall afterwards: `linear` or `cosine` to zero, or `constant`.
        dropout: Dropout of the encoder and the head; by default the encoder's own, and 0.5 for the `mean` head.
        label_smoothing: Share of the target that is spread evenly over all classes; one class a text only.
        class_weights: Weights of the classes in the training loss: `none`, `balanced`, or a list in the order of the
            labels. With one class a text they multiply the loss of its rows; `balanced` is inverse to the frequency in
            the training rows. With several they multiply the loss of the rows that have the class, and not that of
            those without it (`pos_weight`); `balanced` is negatives over positives, from 0.01 to 100.
        threshold: From which probability on a class is predicted, for all classes or one for each; several classes a
            text only. It is compared with the probability after the temperature, which is the one that is shown; a
            typed one stays as it is. By default 0.5, and `fit` ends by choosing each class's with the best F1 on
            validation.
        temperature: What logits are divided by, so that probabilities are neither too bold nor too shy. The most
            probable class stays, and thresholds are chosen after it; with a typed threshold it moves predictions. By
            default `fit` ends by choosing the one with the smallest loss on validation; 1 leaves it out.
        cache_features: Whether `fit` runs what is frozen once per text, and keeps its outputs on disk: a frozen encoder
            (`head` with `mean`), and the lower layers that `trainable_layers` leaves out, where that pays.
        compile_encoder: Whether `fit` runs the encoder through torch.compile, with texts padded to a few lengths so
            that it compiles once. It takes a C++ compiler and a minute, and is meant for GPUs.
        fast_paths: Whether to take shortcuts that lean on the inside of transformers and peft: merged LoRA layers, a
            last layer cut to its first token, attention in single steps and dropout by bytes on a CPU, and frozen
            lower layers run apart. Each checks itself, and is left out in a line where it changes the logits.

    Raises:
        UserError: A setting is out of its range.
    """

    def __init__(
        self,
        labels: list[str],
        multi_label: bool = False,
        backbone: str = "bert-base-uncased",
        tuning: Tuning = "lora",
        pooling: Pooling | None = None,
        lora: LoraSettings = LoraSettings(),  # noqa: B008, a dataclass that nobody changes
        trainable_layers: TrainableLayers = None,
        learning_rate: float | None = None,
        head_learning_rate: float | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.06,
        schedule: Schedule = "linear",
        dropout: float | None = None,
        label_smoothing: float = 0.0,
        class_weights: Literal["none", "balanced"] | list[float] = "none",
        threshold: float | list[float] | None = None,
        temperature: float | None = None,
        cache_features: bool = True,
        compile_encoder: bool = False,
        fast_paths: bool = True,
    ) -> None:
        super().__init__()
        fork_safety.enable()
        if len(labels) < 2:
            raise UserError(f"a classifier needs at least two labels; there is {listed(labels)}")
        check_names(labels)
        _check_share("model.warmup", warmup)
        _check_share("model.label_smoothing", label_smoothing)
        for value in threshold if isinstance(threshold, list) else [threshold or 0.0]:
            _check_share("model.threshold", value)
        if temperature is not None:
            _check_positive("model.temperature", temperature)
        for value in class_weights if isinstance(class_weights, list) else []:
            _check_positive("model.class_weights", value)
        _check_share("model.dropout", dropout or 0.0)
        for key, rate in (
            ("learning_rate", learning_rate),
            ("head_learning_rate", head_learning_rate),
            ("weight_decay", weight_decay),
        ):
            if rate is not None and not 0 <= rate < math.inf:
                raise UserError(f"model.{key} is {rate}; it should be at least 0")
        for key, values in (("class_weights", class_weights), ("threshold", threshold)):
            if isinstance(values, list) and len(values) != len(labels):
                raise UserError(f"model.{key} has {len(values)} entries for {len(labels)} labels")
        self.labels = list(labels)
        self.multi_label = multi_label
        self.backbone = expanded(backbone)
        self.tuning: Tuning = tuning
        self.pooling: Pooling = pooling or ("mean" if tuning == "head" else "cls")
        # A checkpoint keeps plain values.
        self.lora = LoraSettings(**lora) if isinstance(lora, dict) else lora
        self.trainable_layers: TrainableLayers = trainable_layers
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.schedule: Schedule = schedule
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.threshold = threshold
        self.temperature = temperature
        self.cache_features = cache_features
        self.compile_encoder = compile_encoder
        self.fast_paths = fast_paths
        self.network: Network | None = None
        self.loss_weights: Tensor | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._identity: dict[str, Any] = {}
        self._files: backbones.Files = {}
        self.trained_on: dict[str, Any] | None = None  # the settings of the data
        self.weights_sha256 = ""  # of the checkpoint that it was built for
        self.engine: Callable[[Batch], Tensor] | None = None  # what `predict` computes logits with, if not this
        self._seed = 0
        self._predicted: list[list[int] | None] = []  # the rows of each batch
        self.train_metrics = self._metrics("train")
        self.val_metrics = self._metrics("val")
        self.test_metrics = self._metrics("test")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as plain values, with which the same model can be made again."""
        names = inspect.signature(EmotionClassifier).parameters
        values = {name: getattr(self, name) for name in names}
        return {**values, "lora": asdict(self.lora)}

    # Building

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer; of a `full` checkpoint, the one that it carries."""
        if self._tokenizer is None:
            self._tokenizer = backbones.load_tokenizer(self.backbone)
        return self._tokenizer

    def longest_text(self, up_to: int) -> int | None:
        """How many tokens of a text the encoder reads; None where there is no end.

        Args:
            up_to: How many are asked about; where that is far from the end, a rough answer is enough.
        """
        if self.network is None and self.engine is not None:  # of an export, whose tokenizer says it
            return int(self.tokenizer.model_max_length)
        return longest_text(self.backbone, self.network.encoder if self.network else None, up_to)

    def prepare_data(self) -> None:
        """Brings the encoder into the cache, once on each machine."""
        if self.network is None and self.engine is None:
            with contextlib.suppress(Exception):  # `configure_model` meets it again, and ends all processes with it
                backbones.download(self.backbone)

    def configure_model(self) -> None:
        """Builds the network on Lightning's call, unless there is one for a checkpoint or of an export."""
        if self.network is None and self.engine is None and self._trainer is not None:
            with distributed.fail_together():
                self.build()
        if self._trainer is not None and self._trainer.training and self.network is not None:
            if self._is_mixed_on_cpu:
                self._check_step()
            prepare_strategy(self._trainer.strategy, self.network)

    def build(self, checkpoint: checkpoints.Checkpoint | None = None) -> None:
        """Builds the network.

        Args:
            checkpoint: What it is built for; a `full` one needs no base model. Its weights are not loaded here.

        Raises:
            UserError: The backbone cannot be loaded, or is not the one that the checkpoint was trained on.
        """
        carried = checkpoint[checkpoints.KEY] if checkpoint else {}
        self.weights_sha256 = carried.get("weights_sha256", "")
        if checkpoint:
            self.trained_on = checkpoint[checkpoints.DATA_KEY]
            checkpoints.check_settings(self.settings, checkpoint[checkpoints.MODEL_KEY])
            self._check_temperature(checkpoint[checkpoints.MODEL_KEY])
        if carried.get("files"):
            self._files, self._identity = carried["files"], carried["backbone"]
            pretrained, self._tokenizer = backbones.load_carried(self._files)
        else:
            if checkpoint:
                checkpoints.check_backbone(self.backbone, checkpoint)
            pretrained = backbones.load_network(self.backbone, self.labels, self.multi_label, self.dropout)
            backbones.set_pad_token(pretrained, self.tokenizer)
            self._identity = {
                "name": checkpoints.relative_path(self.backbone),
                "network_sha256": backbones.network_sha256(pretrained),
                "tokenizer_sha256": tokenizer_sha256(self.tokenizer),
            }
            checkpoints.check_identity(self._identity, carried.get("backbone", self._identity))
            if self.tuning == "full":
                self._files = backbones.carried_files(pretrained, self.tokenizer)
        # A Trainer of half precision makes the head in it, and converts the encoder later.
        self.network = Network(pretrained, self.pooling, self.dropout).float()
        apply_tuning(self.network, self.tuning, self.lora, self.trainable_layers)
        probe = Probe(self.tokenizer)
        if not checkpoint:
            check_network(self.network, probe)
        if self.fast_paths:
            take_fast_paths(self.network, probe)
        self.network.train()  # transformers hands it over without dropout, and Lightning leaves that as it is

    def _check_temperature(self, saved: dict[str, Any]) -> None:
        """Says where thresholds meet other probabilities than those that they were chosen on."""
        kept = isinstance(self.threshold, list) and self.threshold == saved["threshold"]
        if self.multi_label and kept and self.temperature != saved["temperature"]:
            say(
                f"model.temperature {self.temperature} changes which classes are predicted: the checkpoint's "
                f"thresholds were chosen with {saved['temperature']}"
            )

    @property
    def built(self) -> Network:
        """The network.

        Raises:
            UserError: It is not there yet.
        """
        if self.network is None:
            raise UserError(NOT_BUILT)
        return self.network

    @property
    def network_sha256(self) -> str:
        """The identity of the encoder's pre-trained weights."""
        if not self._identity:
            raise UserError(NOT_BUILT)
        return str(self._identity["network_sha256"])

    def check_callbacks(self, trainer: pl.Trainer) -> None:
        """Checks that what callbacks watch is logged, and that what they average is validated.

        Args:
            trainer: The Trainer, before training.

        Raises:
            UserError: It is not.
        """
        weight_averaging.check_averaging(trainer)
        check_tuners(trainer, self.tuning)
        scores = [str(name) for metrics in (self.train_metrics, self.val_metrics) for name in metrics]
        check_monitors(trainer, ["train/loss_epoch", "val/loss", *scores], complete=type(self) is EmotionClassifier)

    def _metrics(self, stage: Stage) -> MetricCollection:
        return metric_collection(len(self.labels), self.multi_label, stage)

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Makes a checkpoint that loads anywhere: only what was trained (`full`: everything), and no absolute path."""
        weight_averaging.validated_weights(self.trainer, self, checkpoint)
        if self.tuning != "full":
            trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
            for weights in {"state_dict", weight_averaging.CURRENT} & set(checkpoint):
                checkpoint[weights] = {k: v for k, v in checkpoint[weights].items() if k in trained}
        data = getattr(self.trainer, "datamodule", None)
        settings = data.settings.saved if isinstance(data, EmotionDataModule) else self._data_settings
        folder = getattr(self.trainer.checkpoint_callback, "dirpath", None) or "."
        checkpoints.describe(checkpoint, self.settings, settings, self._identity, self._files, folder)

    @property
    def _data_settings(self) -> dict[str, Any]:
        """What `load` and `predict` have to know of the data, where these came from loaders of the user's own."""
        longest = DataSettings.max_length
        return {"max_length": min(longest, self.longest_text(longest) or longest), "multi_label": self.multi_label}

    def on_load_checkpoint(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Checks that a checkpoint fits, and adds the frozen weights that it leaves out."""
        self.trained_on = checkpoint[checkpoints.DATA_KEY]
        data = getattr(self._trainer, "datamodule", None)
        if isinstance(data, EmotionDataModule):
            data.check_not_trained_on(checkpoint[checkpoints.DATA_KEY])
        if self.network is None:
            self.build(checkpoint)
        ours = self.state_dict()
        # Without a base model, what does not train is in the checkpoint too.
        expected = {name for name, weight in self.named_parameters() if weight.requires_grad or self._files}
        found = set(checkpoint["state_dict"])
        if odd := sorted(expected - found) or sorted(found - set(ours)):
            raise UserError(f"the checkpoint does not fit the model: {len(odd)} weights differ, such as {odd[0]}")
        for name in found:
            if checkpoint["state_dict"][name].shape != ours[name].shape:
                sizes = [" x ".join(map(str, one[name].shape)) for one in (checkpoint["state_dict"], ours)]
                raise UserError(f"the checkpoint does not fit the model: {name} is {sizes[0]}, not {sizes[1]}")
        checkpoint["state_dict"] = {**ours, **checkpoint["state_dict"]}
        if weight_averaging.CURRENT in checkpoint:
            checkpoint[weight_averaging.CURRENT] = {**ours, **checkpoint[weight_averaging.CURRENT]}
            if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
                weight_averaging.check_goes_on(self.trainer, checkpoint, None)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads weights, for which the network is built where it is not yet."""
        if self.network is None:
            self.build()
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    # Steps

    def forward(self, batch: Batch) -> Tensor:
        """Classifies a batch.

        Args:
            batch: ``input_ids`` and, where there is padding, ``attention_mask``, both ``[batch, tokens]``, with
                ``states``, ``[batch, tokens, hidden]``, where the frozen layers have been run; or ``features``,
                ``[batch, features]``.

        Returns:
            Logits, ``[batch, classes]``.

        Raises:
            UserError: The batch is something else, or the network is not built.
        """
        check_inputs(batch)
        network = self.built
        if "features" in batch:
            return network.classify(batch["features"])
        if "states" in batch:
            return network.classify_states(batch["states"], batch["input_ids"], batch.get("attention_mask"))
        logits: Tensor = network(batch["input_ids"], batch.get("attention_mask"))
        return logits

    def embed(self, batch: Batch) -> Tensor:
        """What the last layer of the head reads of each text.

        Args:
            batch: As in `forward`.

        Returns:
            ``[batch, width]``.
        """
        read: list[Tensor] = []
        handle = self.built.classifier.register_forward_pre_hook(lambda _, args: read.append(args[0]))
        try:
            self(batch)
        finally:
            handle.remove()
        return read[0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits as probabilities: of one class a text, or of each class by itself.

        Args:
            logits: ``[batch, classes]``.
        """
        return self.decision.probabilities(logits)

    def decide(self, probabilities: Tensor) -> Tensor:
        """Which classes are predicted.

        Args:
            probabilities: ``[rows, classes]``.

        Returns:
            ``[rows, classes]``, of booleans.
        """
        return self.decision.predicted(probabilities)

    @property
    def decision(self) -> Decision:
        """How its logits become labels."""
        return Decision(tuple(self.labels), self.multi_label, self.temperature or 1.0, tuple(self.thresholds))

    @property
    def thresholds(self) -> list[float]:
        """From which probability on, after the temperature, each class is predicted, where a text may have several."""
        if isinstance(self.threshold, list):
            return self.threshold
        return [DEFAULT_THRESHOLD if self.threshold is None else self.threshold] * len(self.labels)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The training loss: cross-entropy, or binary cross-entropy with several classes a text.

        Args:
            logits: ``[batch, classes]``.
            targets: ``[batch, classes]``.
        """
        if self.multi_label:
            return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.loss_weights)
        return functional.cross_entropy(logits, targets, weight=self.loss_weights, label_smoothing=self.label_smoothing)

    def _plain_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Without smoothing and weights, so that runs compare."""
        if self.multi_label:
            return functional.binary_cross_entropy_with_logits(logits, targets)
        return functional.cross_entropy(logits, targets)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of training."""
        logits = self(batch)
        batch = labelled(batch, len(self.labels), self.multi_label)
        loss = self.loss(logits, batch["targets"])
        self.log("train/loss_step", loss.detach())
        self._update("train", loss.detach(), logits.detach(), batch)
        weight = self._weight(batch_idx)
        return loss if weight == 1 else loss * weight

    def _weight(self, batch_idx: int) -> float:
        """What the loss is multiplied by so that all rows of an optimizer's step count alike in its gradient."""
        loader = None if self._trainer is None else self.trainer.train_dataloader
        sampler = getattr(loader, "batches", None)
        if not isinstance(sampler, BatchSampler):  # a loader of the user's own
            return 1.0
        accumulated, steps = int(self.trainer.accumulate_grad_batches), int(self.trainer.num_training_batches)
        return sampler.weight(batch_idx, accumulated, steps)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of validation; returns probabilities, ``[batch, classes]``."""
        return self._evaluation_step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of testing; returns probabilities, ``[batch, classes]``."""
        return self._evaluation_step("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of prediction; returns probabilities, ``[batch, classes]``, NaN where the texts are missing."""
        if self._trainer is not None and self.trainer.predict_loop.return_predictions:
            self._predicted.append(rows_of(batch))
        if "window" in batch and "input_ids" not in batch:
            return torch.full((len(batch["places"]), len(self.labels)), math.nan)
        check_inputs(batch)
        return self.probabilities((self.engine or self)(batch))

    def on_predict_epoch_start(self) -> None:
        """Begins anew."""
        self._predicted = []

    def on_predict_epoch_end(self) -> None:
        """Returns predictions in the order of the texts; batches come by length."""
        put_in_order(self.trainer.predict_loop.predictions, self._predicted)

    def _evaluation_step(self, stage: Stage, batch: Batch) -> Tensor:
        logits = self(batch)
        batch = labelled(batch, len(self.labels), self.multi_label)
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
            truth=targets > 0 if self.multi_label else functional.one_hot(batch["label"], len(self.labels)).bool(),
            probabilities=probabilities,
            targets=targets,
        )
        self.log_dict(dict(metrics.items()), on_step=False, on_epoch=True, batch_size=len(logits))

    # Optimisation

    def setup(self, stage: str) -> None:
        """Checks what watches the training, and takes the class weights from the training rows."""
        self._seed = torch.initial_seed() % 2**31
        if stage == "fit":
            self.check_callbacks(self.trainer)
        if stage != "fit" or self.class_weights == "none":
            return
        if isinstance(self.class_weights, list):
            weights = self.class_weights
        else:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, EmotionDataModule):
                raise UserError(
                    "model.class_weights balanced counts the classes in EmotionDataModule; with loaders of your own, "
                    "give a list of weights in the order of the labels"
                )
            counts, rows = data.corpus.class_counts("train"), len(data.rows("train"))
            weights = balanced_pos_weights(counts, rows) if self.multi_label else balanced_weights(counts)
        self.loss_weights = torch.tensor(weights, dtype=torch.float32, device=self.device)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a learning rate for the encoder and one for the head, warm-up, and a schedule by step."""
        if self._trainer is None:
            raise UserError(
                "the schedule of the learning rates needs a Trainer, which knows how many steps there are; without "
                "one, make an optimizer of model.parameters()"
            )
        # A fused optimizer would undo fp16's loss scaling itself, after the gradients are clipped.
        fused = self.trainer.precision != "16-mixed"
        optimizer = torch.optim.AdamW(self._parameter_groups(), fused=fused)
        scheduler = LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _parameter_groups(self) -> list[ParameterGroup]:
        rate, head_rate = self.learning_rate, self.head_learning_rate
        rate = default_learning_rate(self.tuning, self.built.hidden_size) if rate is None else rate
        head_rate = DEFAULT_HEAD_LEARNING_RATES[self.tuning] if head_rate is None else head_rate
        return parameter_groups(self.built, rate, head_rate, self.weight_decay)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradients of a fused optimizer too, which Lightning refuses under autocast for fp16's sake."""
        if not gradient_clip_val:
            return
        if self.trainer.precision == "16-mixed":  # its optimizer is not fused
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        else:
            norm = torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
            self.log("train/gradient_norm", norm)

    def _learning_rate_factor(self, step: int) -> float:
        steps = self.trainer.estimated_stepping_batches
        if steps == math.inf:  # max_epochs -1
            return 1.0
        return learning_rate_factor(step, max(1, int(steps)), self.warmup, self.schedule)

    def on_fit_start(self) -> None:
        """Chooses the faster attention and dropout."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.trained_on = data.settings.saved if isinstance(data, EmotionDataModule) else {}
        network = self.built
        leave_training_paths(network)  # of a `fit` that was interrupted
        if self.fast_paths and self.device.type == "cpu":
            take_training_paths(network, Probe(self.tokenizer))
        if not self._is_mixed_on_cpu:
            self._check_step()
        if self.compile_encoder:
            network.encoder.compile(dynamic=True)

    @property
    def _is_mixed_on_cpu(self) -> bool:
        """Whether the network computes as it will in training as soon as it is built."""
        return self.trainer.strategy.root_device.type == "cpu" and str(self.trainer.precision).endswith("mixed")

    def _check_step(self) -> None:
        """Refuses an arithmetic that the architecture does not train in, before anything is computed in it."""
        if isinstance(self.trainer.strategy, SingleDeviceStrategy | DDPStrategy):  # others split the network
            with distributed.fail_together(), self.trainer.precision_plugin.forward_context():
                check_step(self.built, Probe(self.tokenizer), str(self.trainer.precision))

    def on_fit_end(self) -> None:
        """Leaves the network with the attention and the dropout of the libraries."""
        leave_training_paths(self.built)

    def on_train_start(self) -> None:
        """Lets learning rates and weight decay that were typed beat those that a resumed optimizer remembers."""
        scheduler = self.lr_schedulers()
        if not isinstance(scheduler, LambdaLR) or scheduler.lr_lambdas[0] != self._learning_rate_factor:
            return  # a subclass has its own
        groups = self._parameter_groups()
        if [group.get("name") for group in scheduler.optimizer.param_groups] != [group["name"] for group in groups]:
            return
        scheduler.base_lrs = [group["lr"] for group in groups]
        factor = self._learning_rate_factor(self.global_step)
        for ours, group in zip(scheduler.optimizer.param_groups, groups, strict=True):
            ours.update(initial_lr=group["lr"], lr=group["lr"] * factor, weight_decay=group["weight_decay"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes dropout a function of the batch, so that a resumed run draws what an uninterrupted one would."""
        place = self.trainer.fit_loop.total_batch_idx * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(self._seed * 1_000_003 + place)


def _check_share(key: str, value: float) -> None:
    if not 0 <= value < 1:
        raise UserError(f"{key} is {value}; it should be at least 0 and below 1")


def _check_positive(key: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UserError(f"{key} is {value}; it should be a number above 0")
