"""Runs the frozen lower layers of an encoder separately from the trainable upper layers."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class _ReachedError(Exception):
    """Ends a forward pass at the first upper layer."""


def lower_states(network: nn.Module, layers: nn.ModuleList, frozen: int, **inputs: Any) -> Tensor:
    """Runs the lower layers of an encoder.

    Args:
        network: The encoder, or a network that contains it.
        layers: Its layers.
        frozen: The number of lower layers.
        inputs: The inputs of the network.

    Returns:
        The token states that enter the first upper layer, ``[batch, tokens, hidden]``.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])
        raise _ReachedError

    handle = layers[frozen].register_forward_pre_hook(catch, with_kwargs=True)
    try:
        network(**inputs)
    except _ReachedError:
        return caught[0]
    finally:
        handle.remove()
    raise RuntimeError(f"{type(network).__name__} does not call its layers one by one")


def check_layers(layers: nn.ModuleList) -> None:
    """Checks that layers do not depend on their index; a comparison on two short texts might not show it.

    Args:
        layers: An encoder's layers.

    Raises:
        NotImplementedError: The kind of attention depends on the index of the layer.
    """
    kinds = getattr(getattr(layers[0], "config", None), "layer_types", None) or ()
    if len(set(kinds)) > 1 and not hasattr(layers[0], "attention_type"):
        raise NotImplementedError("the attention of a layer depends on its index")


@contextlib.contextmanager
def upper_layers(network: nn.Module, layers: nn.ModuleList, frozen: int, states: Tensor) -> Iterator[None]:
    """Removes the lower layers of an encoder temporarily, and feeds the given states to the first upper layer.

    Args:
        network: The encoder, or a network that contains it.
        layers: Its layers.
        frozen: The number of lower layers.
        states: The result of `lower_states`, ``[batch, tokens, hidden]``.
    """

    def replace(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    parent, name = next(
        (module, name) for module in network.modules() for name, child in module.named_children() if child is layers
    )
    handle = layers[frozen].register_forward_pre_hook(replace, with_kwargs=True)
    setattr(parent, name, layers[frozen:])
    try:
        yield
    finally:
        setattr(parent, name, layers)
        handle.remove()
