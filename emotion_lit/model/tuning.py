"""Tuning modes: the head only, LoRA adapters and the head, or all weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import nn
from transformers.pytorch_utils import Conv1D

from emotion_lit.errors import UserError
from emotion_lit.model.network import Network

if TYPE_CHECKING:
    from peft import LoraConfig

Tuning = Literal["head", "lora", "full"]
TrainableLayers = int | float | None
ALL_LINEAR = "all-linear"
# GPT-2 uses Conv1D instead of Linear.
LINEAR = (nn.Linear, Conv1D)


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters (LoRA, arXiv 2106.09685); used with ``tuning: lora``.

    Args:
        rank: Rank of the update of each adapted matrix.
        alpha: The update is scaled by alpha / rank.
        dropout: Dropout in front of the adapters.
        targets: ``all-linear`` for every linear layer of the encoder, or endings of module names, such as ``query``.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | list[str] = ALL_LINEAR

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            UserError: One of them is out of its range.
        """
        if self.rank < 1:
            raise UserError(f"model.lora.rank is {self.rank}; it should be at least 1")
        if not 0 < self.alpha < math.inf:
            raise UserError(f"model.lora.alpha is {self.alpha}; it should be a number above 0")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.lora.dropout is {self.dropout}; it should be at least 0 and below 1")


def apply_tuning(network: Network, tuning: Tuning, lora: LoraSettings, trainable_layers: TrainableLayers) -> None:
    """Freezes weights and adds adapters. The head, including BERT's pooler, is trainable in every mode.

    Args:
        network: The network.
        tuning: The mode.
        lora: The settings of the adapters, for the mode ``lora``.
        trainable_layers: The number or share of trainable upper layers; None means the whole encoder, embeddings
            included.

    Raises:
        UserError: The encoder has fewer layers, or no module name ends in ``lora.targets``.
    """
    frozen = [] if tuning == "head" else lower_modules(network, trainable_layers)
    for module in frozen:
        module.requires_grad_(False)
    layers = max(0, len(frozen) - 1)
    if tuning != "full":
        network.encoder.requires_grad_(False)
    if tuning == "head":
        network.freeze([network.encoder])
    elif layers:
        network.freeze([*network.embeddings, *network.layers[:layers]], layers)
    if tuning == "lora":
        from peft import inject_adapter_in_model  # slow to import (0.5 s)

        inject_adapter_in_model(lora_config(network, lora, frozen), network.encoder)
    for _, parameter in network.head_parameters():
        parameter.requires_grad_(True)


def lora_config(network: Network, lora: LoraSettings, frozen: Sequence[nn.Module] = ()) -> "LoraConfig":
    """The peft configuration of the adapters.

    Args:
        network: The network without adapters.
        lora: The settings of the adapters.
        frozen: Parts of the encoder without adapters.

    Raises:
        UserError: No module name ends in ``lora.targets``.
    """
    from peft import LoraConfig

    targets = lora_targets(network, lora, frozen)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(network.encoder.get_submodule(name), Conv1D) for name in targets),
    )


def lora_targets(network: Network, lora: LoraSettings, frozen: Sequence[nn.Module] = ()) -> list[str]:
    """The names of the linear layers that get adapters.

    Args:
        network: The network without adapters.
        lora: The settings of the adapters.
        frozen: Parts of the encoder without adapters.

    Raises:
        UserError: No module name ends in ``lora.targets``.
    """
    without = {id(module) for part in frozen for module in part.modules()}
    linear = {
        name: module
        for name, module in network.encoder.named_modules()
        # The pooler is trained directly.
        if isinstance(module, LINEAR) and id(module) not in without and "pooler" not in name.split(".")
    }
    if not linear:
        raise UserError(
            f"{type(network.encoder).__name__} has no linear layers that LoRA can adapt; train it with "
            "--model.tuning full or head"
        )
    endings = [lora.targets] if isinstance(lora.targets, str) else lora.targets
    targets = [name for name in linear if lora.targets == ALL_LINEAR or name.endswith(tuple(endings))]
    if not targets:
        last_parts = sorted({name.split(".")[-1] for name in linear})
        raise UserError(
            f"no linear layer's name ends in {lora.targets!r} (model.lora.targets); there are: {', '.join(last_parts)}"
        )
    return targets


def lower_modules(network: Network, trainable_layers: TrainableLayers) -> list[nn.Module]:
    """The modules to freeze: the embeddings and the lower layers. Empty if the whole encoder is trainable.

    Args:
        network: The network.
        trainable_layers: The number or share of trainable upper layers; None means the whole encoder.

    Raises:
        UserError: The encoder has fewer layers.
    """
    if trainable_layers is None:
        return []
    depth = network.depth
    trainable_layers = min(trainable_layers, depth + 1)  # infinity cannot be converted to an int
    is_share = isinstance(trainable_layers, float) and trainable_layers <= 1
    count = max(1, round(trainable_layers * depth)) if is_share else int(trainable_layers)
    if not 1 <= count <= depth or trainable_layers <= 0:
        raise UserError(f"model.trainable_layers is {trainable_layers}, and the encoder has {depth} layers")
    frozen = depth - count
    return [nn.ModuleList(network.embeddings), *(network.layers[:frozen] if frozen else ())]
