"""LoRA weights of a file merged into the weights of the base model, without peft, which takes long to import."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

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
def merge_lora(network: nn.Module, weights: Mapping[str, Tensor], scaling: float) -> None:
    """Adds ``scaling * B A`` to the weight of every adapted layer (LoRA, arXiv 2106.09685).

    Args:
        network: The network without adapters.
        weights: ``<layer>.lora_A.weight``, ``[rank, inputs]``, and ``<layer>.lora_B.weight``, ``[outputs, rank]``.
        scaling: The factor of the update: alpha / rank.

    Raises:
        LoraMismatchError: A layer is missing, of another kind, or of another shape.
    """
    modules = dict(network.named_modules())
    for layer in sorted({name.removesuffix(A).removesuffix(B) for name in weights}):
        a, b = weights.get(f"{layer}{A}"), weights.get(f"{layer}{B}")
        module = modules.get(layer)
        if a is None or b is None or not isinstance(module, nn.Linear | Conv1D):
            raise LoraMismatchError(f"{layer} has no LoRA weights, or is no linear layer")
        weight = module.weight if isinstance(module, nn.Linear) else module.weight.T  # GPT-2's are transposed
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or weight.shape != (b.shape[0], a.shape[1]):
            shapes = " x ".join(str(list(tensor.shape)) for tensor in (b, a))
            raise LoraMismatchError(f"{layer} is {list(weight.shape)}, and its update {shapes}")
        weight.copy_(torch.addmm(weight, b.to(weight), a.to(weight), alpha=scaling))
