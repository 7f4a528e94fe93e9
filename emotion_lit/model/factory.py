"""Builds networks: a new one from settings, or a trained one from a checkpoint."""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.budgets import training_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.model import backbone as backbones
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.bundled_files import bundle_files, load_bundled
from emotion_lit.model.checkpoint import complete_weights
from emotion_lit.model.decision import Decision
from emotion_lit.model.fast_paths import install_fast_paths
from emotion_lit.model.lora_weights import load_merged
from emotion_lit.model.network import Network
from emotion_lit.model.positions import longest_text
from emotion_lit.model.probe import Probe, check_network
from emotion_lit.model.settings import ModelSettings
from emotion_lit.model.tuning import apply_tuning


@dataclass(frozen=True)
class BuiltNetwork:
    """A network with what belongs to it.

    Attributes:
        network: The network, in training mode.
        tokenizer: Its tokenizer.
        identity: The backbone's ``name``, ``network_sha256`` and ``tokenizer_sha256``.
        files: The configuration and the tokenizer as texts by file name, for a checkpoint that needs no base model;
            empty for the others.
    """

    network: Network
    tokenizer: PreTrainedTokenizerBase
    identity: dict[str, Any]
    files: backbones.Files


def build(
    settings: ModelSettings,
    checkpoint: checkpoints.Checkpoint | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> BuiltNetwork:
    """Builds a network.

    Args:
        settings: The model's settings.
        checkpoint: The checkpoint that the network is built for. One of ``tuning: full`` needs no base model. Its
            weights are not loaded here.
        tokenizer: The backbone's tokenizer, if it has been loaded already.

    Raises:
        UserError: The backbone cannot be loaded, is not the one that the checkpoint was trained on, or cannot classify
            texts with these settings.
    """
    built = _without_adapters(settings, checkpoint, tokenizer)
    network, probe = built.network, Probe(built.tokenizer)
    apply_tuning(network, settings.tuning, settings.lora, settings.trainable_layers)
    if not checkpoint:
        check_network(network, probe)
    if settings.fast_paths:
        install_fast_paths(network, probe)
    network.train()  # transformers returns it without dropout, and Lightning leaves that as it is
    return built


def _without_adapters(
    settings: ModelSettings, checkpoint: checkpoints.Checkpoint | None, tokenizer: PreTrainedTokenizerBase | None = None
) -> BuiltNetwork:
    """The network before it is known which weights train."""
    stored = checkpoint[checkpoints.KEY] if checkpoint else {}
    if checkpoint:
        checkpoints.check_settings(settings.as_plain(), checkpoint[checkpoints.MODEL_KEY])
    files: backbones.Files = stored.get("files", {})
    if files:
        identity = stored["backbone"]
        pretrained, tokenizer = load_bundled(files)
    else:
        if checkpoint:
            checkpoints.check_backbone(settings.backbone, checkpoint)
        tokenizer = tokenizer or backbones.load_tokenizer(settings.backbone)
        pretrained = backbones.load_network(settings.backbone, settings.labels, settings.multi_label, settings.dropout)
        backbones.set_pad_token(pretrained, tokenizer)
        identity = {
            "name": checkpoints.relative_path(settings.backbone),
            "network_sha256": backbones.network_sha256(pretrained),
            "tokenizer_sha256": tokenizer_sha256(tokenizer),
        }
        if checkpoint:
            checkpoints.check_identity(identity, stored["backbone"])
        if settings.tuning == "full":
            files = bundle_files(pretrained, tokenizer)
    # A Trainer of half precision makes the head in it, and converts the encoder later.
    network = Network(pretrained, settings.pooling, settings.dropout).float()
    return BuiltNetwork(network, tokenizer, identity, files)


def _with_merged_adapters(settings: ModelSettings, checkpoint: checkpoints.Checkpoint) -> BuiltNetwork | None:
    """The trained network of a LoRA checkpoint, without adapters; None if its weights do not fit."""
    built = _without_adapters(settings, checkpoint)
    if not load_merged(built.network, settings, checkpoint["state_dict"]):
        return None
    if settings.fast_paths:
        install_fast_paths(built.network, Probe(built.tokenizer))
    return built


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, ready to predict.

    Attributes:
        network: The network with its trained weights, in evaluation mode, on the CPU.
        tokenizer: Its tokenizer.
        settings: The model's settings.
        identity: The backbone's ``name``, ``network_sha256`` and ``tokenizer_sha256``.
        max_length: The maximum length of a text, in tokens.
        tokens_per_batch: The size of a batch in tokens, padding included.
        weights_sha256: The hash of the weights that the checkpoint stores.
    """

    network: Network
    tokenizer: PreTrainedTokenizerBase
    settings: ModelSettings
    identity: dict[str, Any]
    max_length: int
    tokens_per_batch: int
    weights_sha256: str

    @property
    def decision(self) -> Decision:
        """How its logits become probabilities and labels."""
        return self.settings.decision


def restore(
    checkpoint: checkpoints.Checkpoint,
    backbone: str | None = None,
    merge_adapters: bool = False,
    settings: ModelSettings | None = None,
) -> TrainedNetwork:
    """Builds the trained network of a checkpoint.

    Args:
        checkpoint: What `read_checkpoint` returned.
        backbone: The current location of the base model, if it has moved: a folder or a Hub id.
        merge_adapters: Whether to add LoRA adapters to the weights of the base model, which computes the same and does
            without peft, which takes long to import.
        settings: The model's settings, if not those of the checkpoint, such as another temperature.

    Raises:
        UserError: The base model cannot be loaded, or is another one, or the weights do not fit.
    """
    settings = settings or ModelSettings(**checkpoint[checkpoints.MODEL_KEY])
    if backbone:
        settings = replace(settings, backbone=backbone)
    merge = merge_adapters and settings.tuning == "lora"
    built = _with_merged_adapters(settings, checkpoint) if merge else None
    if built is None:
        built = build(settings, checkpoint)
        module = nn.ModuleDict({"network": built.network})  # the names that the LightningModule gives its weights
        module.load_state_dict(complete_weights(module, checkpoint["state_dict"], has_all=bool(built.files)))
    data = checkpoint[checkpoints.DATA_KEY]
    max_length = data.get("max_length", DataSettings.max_length)
    longest = longest_text(settings.backbone, built.network.encoder, max_length)
    return TrainedNetwork(
        network=built.network.eval(),
        tokenizer=built.tokenizer,
        settings=settings,
        identity=built.identity,
        max_length=min(max_length, longest or max_length),
        tokens_per_batch=training_budget(data.get("tokens_per_batch", DataSettings.tokens_per_batch)),
        weights_sha256=checkpoint[checkpoints.KEY]["weights_sha256"],
    )
