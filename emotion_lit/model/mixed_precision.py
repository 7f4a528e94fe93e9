"""Weights of linear layers in the dtype of autocast: frozen ones are stored in it, trained ones are cast once a step.

Autocast casts a weight at each use, which is two launches for every linear layer in every step. The weights here are
those that it would cast anyway, so the logits stay the same, to the bit.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

# Adapters are added to the weight in single precision, see `merged_lora`.
ADAPTERS = ("lora_A", "lora_B")


def linear_weights(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights and biases that only linear layers use, with their names.

    Args:
        network: The network.
    """
    elsewhere: set[int] = set()
    linear: dict[str, nn.Parameter] = {}
    for name, module in network.named_modules():
        own = dict(module.named_parameters(prefix=name, recurse=False))
        if isinstance(module, nn.Linear | Conv1D) and not set(ADAPTERS) & set(name.split(".")):
            linear.update(own)
        else:  # such as the embedding that a linear layer is tied to
            elsewhere.update(map(id, own.values()))
    return ((name, weight) for name, weight in linear.items() if id(weight) not in elsewhere)


class FrozenWeights:
    """Stores the frozen weights of linear layers in another dtype, until they are restored.

    The state dict of the network has the original weights all the time, so checkpoints and exports are the same files.

    Args:
        network: The network on its device.
        dtype: The dtype that autocast computes linear layers in.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self._weights = {name: weight for name, weight in linear_weights(network) if not weight.requires_grad}
        self._originals = {name: weight.detach().cpu().clone() for name, weight in self._weights.items()}
        originals = self._originals

        def put_originals(_: nn.Module, state_dict: dict[str, Any], prefix: str, metadata: object) -> None:
            state_dict.update({prefix + name: original for name, original in originals.items()})

        self._handle = network.register_state_dict_post_hook(put_originals)  # type: ignore[no-untyped-call]
        for weight in self._weights.values():
            weight.data = weight.data.to(dtype)

    def restore(self) -> None:
        """Restores the original weights, on the device where the network is now."""
        self._handle.remove()
        for name, weight in self._weights.items():
            weight.data = self._originals[name].to(weight.device)
        self._weights, self._originals = {}, {}


class StepWeights:
    """Copies of the trained weights for one forward and backward pass; linear layers' are in autocast's dtype.

    Gradients are computed for the copies and added to the parameters by whoever uses this. So the parameters' own
    gradient accumulators, which DistributedDataParallel watches, are not a part of the pass.

    Args:
        network: The network on its device.
        dtype: The dtype of autocast; None if it is off.

    Attributes:
        parameters: The trained parameters by name.
        leaves: Their copies, in the same order. A weight that is not cast shares its memory with its copy.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None) -> None:
        self.parameters = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        cast = {name for name, _ in linear_weights(network)} if dtype is not None else set()
        self._cast = [weight.detach() for name, weight in self.parameters.items() if name in cast]
        self._copies = [torch.empty_like(weight, dtype=dtype) for weight in self._cast]
        copies = iter(self._copies)
        self.leaves = {
            name: (next(copies) if name in cast else weight).detach().requires_grad_()
            for name, weight in self.parameters.items()
        }

    @torch.no_grad()
    def refresh(self) -> None:
        """Casts the weights again, all with one call, because the optimizer has changed them."""
        if self._copies:
            torch._foreach_copy_(self._copies, self._cast)
