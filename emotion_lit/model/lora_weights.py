"""LoRA weights of a file merged into the weights of the base model, without peft, which takes long to import."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from emotion_lit.model.network import Network
from emotion_lit.model.settings import ModelSettings
from emotion_lit.model.tuning import lora_targets, lower_modules

# The name that peft gives to the only adapter of a network.
ADAPTER = "default"
A, B = ".lora_A.weight", ".lora_B.weight"


class LoraMismatchError(ValueError):
    """LoRA weights that do not fit a network."""


def lora_keys(layers: Iterable[str]) -> set[str]:
    """The names of the LoRA weights of layers.

    Args:
        layers: The names of the adapted layers.
    """
    return {f"{layer}{suffix}" for layer in layers for suffix in (A, B)}


@torch.no_grad()
def load_merged(network: Network, settings: ModelSettings, weights: Mapping[str, Tensor]) -> bool:
    """Loads the weights of a checkpoint of ``lora`` tuning: adapters are merged, and the head is replaced.

    Args:
        network: The network without adapters; unchanged if the weights do not fit.
        settings: The settings of the checkpoint.
        weights: Its weights, by their names in the LightningModule.

    Returns:
        Whether the weights are exactly those that this training saves; else `factory.build` explains what differs.
    """
    targets = lora_targets(network, settings.lora, lower_modules(network, settings.trainable_layers))
    encoder = f"network.{network.prefix}"
    adapters = {
        f"{target}{suffix}": weights.get(f"{encoder}{target}{suffix.removesuffix('weight')}{ADAPTER}.weight")
        for target in targets
        for suffix in (A, B)
    }
    head = {name: (parameter, weights.get(f"network.{name}")) for name, parameter in network.head_parameters()}
    found = {name: weight for name, weight in adapters.items() if weight is not None}
    if len(found) < len(adapters) or len(found) + len(head) != len(weights):
        return False
    if any(weight is None or weight.shape != parameter.shape for parameter, weight in head.values()):
        return False
    try:
        merge_lora(network.encoder, found, settings.lora.alpha / settings.lora.rank)
    except LoraMismatchError:
        return False
    for parameter, weight in head.values():
        if weight is not None:
            parameter.copy_(weight)
    return True


@torch.no_grad()
def merge_lora(network: nn.Module, weights: Mapping[str, Tensor], scaling: float) -> None:
    """Adds ``scaling * B A`` to the weight of every adapted layer (LoRA, arXiv 2106.09685).

    Args:
        network: The network without adapters.
        weights: ``<layer>.lora_A.weight``, ``[rank, inputs]``, and ``<layer>.lora_B.weight``, ``[outputs, rank]``.
        scaling: The factor of the update: alpha / rank.

    Raises:
        LoraMismatchError: A layer is missing, of another kind, or of another shape; then no weight is changed.
    """
    updates: list[tuple[Tensor, Tensor]] = []
    modules = dict(network.named_modules())
    for layer in sorted({name.removesuffix(A).removesuffix(B) for name in weights}):
        a, b = weights.get(f"{layer}{A}"), weights.get(f"{layer}{B}")
        module = modules.get(layer)
        if a is None or b is None or not isinstance(module, nn.Linear | Conv1D):
            raise LoraMismatchError(f"{layer} has no LoRA weights, or is not a linear layer")
        weight = module.weight if isinstance(module, nn.Linear) else module.weight.T  # GPT-2's are transposed
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or weight.shape != (b.shape[0], a.shape[1]):
            shapes = " x ".join(str(list(tensor.shape)) for tensor in (b, a))
            raise LoraMismatchError(f"{layer} is {list(weight.shape)}, and its update {shapes}")
        updates.append((weight, torch.addmm(weight, b.to(weight), a.to(weight), alpha=scaling)))
    for weight, merged in updates:
        weight.copy_(merged)
