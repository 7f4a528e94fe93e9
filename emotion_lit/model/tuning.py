"""What trains: the head alone, LoRA adapters and the head, or everything."""

from dataclasses import dataclass
from typing import Literal

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from emotion_lit.errors import UserError
from emotion_lit.model.pooling import Network

Tuning = Literal["head", "lora", "full"]
ALL_LINEAR = "all-linear"


@dataclass
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


def apply_tuning(network: Network, tuning: Tuning, lora: LoraSettings) -> None:
    """Freezes what does not train and adds the adapters. The head, BERT's pooler included, trains in every mode.

    Args:
        network: The network.
        tuning: The mode.
        lora: The adapters, for the mode ``lora``.

    Raises:
        UserError: No module's name ends as ``lora.targets`` says.
    """
    if tuning == "full":
        return
    for parameter in network.encoder.parameters():
        parameter.requires_grad_(False)
    if tuning == "lora":
        inject_adapter_in_model(lora_config(network, lora), network.encoder)
    for _, parameter in network.head_parameters():
        parameter.requires_grad_(True)


def lora_config(network: Network, lora: LoraSettings) -> LoraConfig:
    """The adapters as peft describes them.

    Args:
        network: The network without adapters.
        lora: The adapters.

    Raises:
        UserError: No module's name ends as ``lora.targets`` says.
    """
    linear = [name for name, module in network.encoder.named_modules() if isinstance(module, nn.Linear)]
    linear = [name for name in linear if "pooler" not in name.split(".")]  # the pooler itself trains
    endings = [lora.targets] if isinstance(lora.targets, str) else lora.targets
    targets = linear if lora.targets == ALL_LINEAR else [n for n in linear if n.endswith(tuple(endings))]
    if not targets:
        last_parts = sorted({name.split(".")[-1] for name in linear})
        raise UserError(
            f"no linear layer's name ends in {lora.targets!r} (model.lora.targets); there are: {', '.join(last_parts)}"
        )
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
