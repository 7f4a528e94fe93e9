"""Counts the parameters of a model."""

from torch import nn


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """The number of trainable parameters, and of all parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)
