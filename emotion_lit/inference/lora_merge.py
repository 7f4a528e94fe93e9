"""A trained network without anything that only training needs: adapters merged, ready to export."""

import copy
from typing import Any

import torch
from torch import nn

from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.network import Network


def merged_network(model: TrainedNetwork) -> Network:
    """Copies a network, merges its adapters into the weights, and divides its last layer by the temperature.

    Args:
        model: The trained model.

    Returns:
        A network in single precision on the CPU, in evaluation mode. Its logits are divided by the temperature.
    """
    network = copy.deepcopy(model.network).cpu().float().eval()
    _merge(network)
    network.requires_grad_(False)
    divide_logits(network.classifier, model.decision.temperature)
    return network


@torch.no_grad()
def divide_logits(classifier: nn.Linear, temperature: float) -> None:
    """Divides the weights of a last layer, and with them its logits, by a temperature.

    Args:
        classifier: The layer.
        temperature: The calibration temperature.
    """
    classifier.weight.div_(temperature)
    if classifier.bias is not None:
        classifier.bias.div_(temperature)


def _merge(module: nn.Module) -> None:
    for name, child in module.named_children():
        if hasattr(child, "lora_A"):  # a layer of peft, which takes long to import
            layer: Any = child
            layer.merge()
            setattr(module, name, layer.get_base_layer())
        else:
            _merge(child)
