"""The frozen lower layers of an encoder, run apart from the upper ones that train."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class _ReachedError(Exception):
    """Ends a forward pass where the upper layers begin."""


def lower_states(network: nn.Module, layers: nn.ModuleList, frozen: int, **inputs: Any) -> Tensor:
    """Runs an encoder up to its first upper layer.

    Args:
        network: The encoder, or a network around it.
        layers: Its layers.
        frozen: How many of them are lower ones.
        inputs: What the network takes.

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
    """Checks that layers may be counted from anywhere; two short texts do not show every difference.

    Args:
        layers: An encoder's layers.

    Raises:
        NotImplementedError: What a layer is given depends on its number.
    """
    kinds = getattr(getattr(layers[0], "config", None), "layer_types", None) or ()
    if len(set(kinds)) > 1 and not hasattr(layers[0], "attention_type"):
        raise NotImplementedError("its layers attend in different ways, by their number")


@contextlib.contextmanager
def upper_layers(network: nn.Module, layers: nn.ModuleList, frozen: int, states: Tensor) -> Iterator[None]:
    """While it lasts, the encoder has its upper layers only, and the first of them reads given states.

    Args:
        network: The encoder, or a network around it.
        layers: Its layers.
        frozen: How many of them are lower ones.
        states: What `lower_states` gave, ``[batch, tokens, hidden]``.
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
