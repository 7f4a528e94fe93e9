"""CheckpointedModule: the part of a LightningModule that builds its network and stores it in checkpoints."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.budgets import training_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import Engine
from emotion_lit.model import backbone as backbones
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.checkpoint import complete_weights, trained_names
from emotion_lit.model.decision import Decision
from emotion_lit.model.factory import TrainedNetwork, build
from emotion_lit.model.memory_limit import MemoryLimit
from emotion_lit.model.network import Network
from emotion_lit.model.positions import longest_text
from emotion_lit.model.settings import ModelSettings
from emotion_lit.training import weight_averaging
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import shard_full
from emotion_lit.training.settings.attributes import settings_as_attributes
from emotion_lit.training.strategies import check_precision, is_checked_when_built, prepare_strategy
from emotion_lit.utils import distributed, fork_safety

NOT_BUILT = "the model has no network yet; call model.build() first, or give it to a Trainer"

# Settings that a network keeps once it is built.
BUILT_WITH = ("backbone", "tuning", "pooling", "lora", "trainable_layers", "dropout", "fast_paths")


@settings_as_attributes(ModelSettings)
class CheckpointedModule(pl.LightningModule):
    """A LightningModule whose network is built from settings, and whose checkpoints load anywhere.

    Args:
        settings: The model's settings.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        fork_safety.enable()
        self.settings = settings
        self.network: Network | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._identity: dict[str, Any] = {}
        self._files: backbones.Files = {}
        self.trained_on: dict[str, Any] | None = None  # the settings of the data
        self.weights_sha256 = ""  # of the checkpoint that it was built for
        self.memory_limit = MemoryLimit()
        self._engine: Engine | None = None  # computes the probabilities of `predict` instead of the network

    @property
    def labels(self) -> list[str]:
        """The class names, in the order of their ids."""
        return self.settings.labels

    @property
    def multi_label(self) -> bool:
        """Whether a text can have several classes."""
        return self.settings.multi_label

    def before_change(self, name: str) -> None:
        """Refuses to change a setting that the network was built with.

        Args:
            name: The setting, which is about to be assigned.

        Raises:
            UserError: The network would stay as it is.
        """
        if self.network is not None and name in BUILT_WITH:
            raise UserError(f"the network is built with model.{name}; make a new EmotionClassifier to change it")

    def change_settings(self, **changes: Any) -> None:
        """Changes settings, such as the thresholds that were chosen on validation.

        Args:
            changes: The new values.

        Raises:
            UserError: One is out of range.
        """
        self.settings = replace(self.settings, **changes)

    @property
    def decision(self) -> Decision:
        """How logits become probabilities and labels."""
        return self.settings.decision

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, ``[rows, classes]``, from logits of the same shape."""
        return self.decision.probabilities(logits)

    def decide(self, probabilities: Tensor) -> Tensor:
        """Which classes are predicted, booleans ``[rows, classes]``, from probabilities of the same shape."""
        return self.decision.predicted(probabilities)

    # Building

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer, or the one that a checkpoint with `tuning: full` stores."""
        if self._tokenizer is None:
            self._tokenizer = backbones.load_tokenizer(self.settings.backbone)
        return self._tokenizer

    def longest_text(self, up_to: int) -> int | None:
        """The largest number of tokens that the encoder can read; None if there is no limit.

        Args:
            up_to: A rough answer is enough if the limit is far above this.
        """
        if self.network is None and self._engine is not None:  # the tokenizer of an exported model has the limit
            return int(self.tokenizer.model_max_length)
        return longest_text(self.settings.backbone, self.network.encoder if self.network else None, up_to)

    def prepare_data(self) -> None:
        """Downloads the encoder into the cache, once on each machine."""
        if self.network is None and self._engine is None:
            with contextlib.suppress(Exception):  # `configure_model` meets it again, and ends all processes with it
                backbones.download(self.settings.backbone)

    def configure_model(self) -> None:
        """Builds the network on Lightning's call, unless it has been built for a checkpoint or an export."""
        if self._trainer is None:
            return
        if self.network is None and self._engine is None:
            with distributed.fail_together():
                self.build()
        if self.trainer.training and self.network is not None:
            if is_checked_when_built(self.trainer):
                check_precision(self.trainer, self.network, self.tokenizer)
            prepare_strategy(self.trainer.strategy, self.network)

    def build(self, checkpoint: checkpoints.Checkpoint | None = None) -> None:
        """Builds the network.

        Args:
            checkpoint: The checkpoint that it is built for; one with `tuning: full` needs no base model. Its weights
                are not loaded here.

        Raises:
            UserError: The backbone cannot be loaded, or is not the one that the checkpoint was trained on.
        """
        built = build(self.settings, checkpoint, self._tokenizer)
        self.network, self._tokenizer = built.network, built.tokenizer
        self._identity, self._files = built.identity, built.files
        if checkpoint:
            self.trained_on = checkpoint[checkpoints.DATA_KEY]
            self.weights_sha256 = checkpoint[checkpoints.KEY]["weights_sha256"]

    @property
    def built(self) -> Network:
        """The network.

        Raises:
            UserError: It has not been built yet.
        """
        if self.network is None:
            raise UserError(NOT_BUILT)
        return self.network

    @property
    def network_sha256(self) -> str:
        """The hash of the encoder's pre-trained weights."""
        if not self._identity:
            raise UserError(NOT_BUILT)
        return str(self._identity["network_sha256"])

    @property
    def trained(self) -> TrainedNetwork:
        """The network and what belongs to it, without Lightning, for engines and exports; it shares the weights."""
        data = self.trained_on or {}
        return TrainedNetwork(
            network=self.built,
            tokenizer=self.tokenizer,
            settings=self.settings,
            identity=self._identity,
            max_length=data.get("max_length", DataSettings.max_length),
            tokens_per_batch=training_budget(data.get("tokens_per_batch", DataSettings.tokens_per_batch)),
            weights_sha256=self.weights_sha256,
        )

    def load_trained(self, trained: TrainedNetwork) -> None:
        """Takes over a trained network, such as one whose adapters are merged; it predicts, and is not trained on.

        Args:
            trained: The network and what belongs to it.
        """
        self.network, self._tokenizer, self._identity = trained.network, trained.tokenizer, trained.identity
        self.weights_sha256 = trained.weights_sha256

    def predict_with(
        self, engine: Engine, tokenizer: PreTrainedTokenizerBase | None = None, weights_sha256: str | None = None
    ) -> None:
        """Lets `predict_step` use an engine instead of the network.

        Args:
            engine: The engine.
            tokenizer: The tokenizer of an export.
            weights_sha256: The hash of the weights of an export.
        """
        self._engine = engine
        self._tokenizer = tokenizer or self._tokenizer
        self.weights_sha256 = weights_sha256 or self.weights_sha256

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Makes a checkpoint that loads anywhere: trained weights only (`full`: all), and no absolute path."""
        weight_averaging.validated_weights(self.trainer, self, checkpoint)
        if self.settings.tuning != "full":
            trained = trained_names(self)
            for weights in {"state_dict", checkpoints.CURRENT} & set(checkpoint):
                checkpoint[weights] = {name: w for name, w in checkpoint[weights].items() if name in trained}
        data = getattr(self.trainer, "datamodule", None)
        length = min(default := DataSettings.max_length, self.longest_text(default) or default)
        # `load` and `predict` need these also if the user trained with loaders of their own.
        settings = {"max_length": length, "multi_label": self.multi_label}
        settings = data.settings.saved if isinstance(data, EmotionDataModule) else settings
        folder = getattr(self.trainer.checkpoint_callback, "dirpath", None) or "."
        checkpoints.add_metadata(checkpoint, self.settings.as_plain(), settings, self._identity, self._files, folder)

    def on_load_checkpoint(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Checks that a checkpoint fits, brings it to the current format, and adds the frozen weights it leaves out."""
        checkpoints.migrate(checkpoint)
        data = getattr(self._trainer, "datamodule", None)
        if isinstance(data, EmotionDataModule):
            data.check_not_trained_on(checkpoint[checkpoints.DATA_KEY])
        self.trained_on = checkpoint[checkpoints.DATA_KEY]
        if self.network is None:
            self.build(checkpoint)
        checkpoint["state_dict"] = complete_weights(self, checkpoint["state_dict"], has_all=bool(self._files))
        if checkpoints.CURRENT in checkpoint:
            checkpoint[checkpoints.CURRENT] = {**self.state_dict(), **checkpoint[checkpoints.CURRENT]}
            if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
                weight_averaging.check_resumable(self.trainer, checkpoint, None)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads weights; builds the network first if necessary."""
        if self.network is None:
            self.build()
        return super().load_state_dict(shard_full(state_dict, self.state_dict()), strict=strict, assign=assign)
