"""A trained network without anything that only training needs: adapters merged, ready to leave."""

import copy

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from emotion_lit.model.network import Network
from emotion_lit.training.module import EmotionClassifier


def merged_network(model: EmotionClassifier) -> Network:
    """A copy of the network, with its adapters merged into the weights, and the temperature into the last layer.

    Args:
        model: A trained model.

    Returns:
        A network in single precision on the CPU, in evaluation mode, whose logits are already divided by the
        temperature.
    """
    network = copy.deepcopy(model.built).cpu().float().eval()
    _merge(network)
    network.requires_grad_(False)
    temper(network.classifier, model.settings.temperature)
    return network


@torch.no_grad()
def temper(classifier: nn.Linear, temperature: float | None) -> None:
    """Divides what a last layer says by a temperature.

    Args:
        classifier: The layer.
        temperature: The temperature; None is 1.
    """
    classifier.weight.div_(temperature or 1.0)
    if classifier.bias is not None:
        classifier.bias.div_(temperature or 1.0)


def _merge(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, BaseTunerLayer):
            child.merge()
            setattr(module, name, child.get_base_layer())
        else:
            _merge(child)
