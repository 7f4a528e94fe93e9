"""Fast paths: optimizations that rely on internals of libraries. Each is undone if it changes the logits.

A fast path is a function that changes a network, and another that restores it, even after an error in the first.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from emotion_lit.model import attention, cpu_kernels, first_token
from emotion_lit.model.network import Network
from emotion_lit.model.partial_forward import check_layers
from emotion_lit.model.probe import Probe, error_summary
from emotion_lit.utils.console import say

# The largest difference of logits: absolute, as rounding in single precision causes, and relative to the largest logit,
# because the logits of an untrained network may be tiny.
TOLERANCE, SHARE = 1e-5, 1e-3


def install_fast_paths(network: Network, probe: Probe) -> None:
    """Installs the fast paths of a new network: the last layer for the first token only, and merged LoRA layers.

    Args:
        network: The network.
        probe: Two texts.
    """
    if network.pooling == "cls" and first_token.suits(network.body):
        install_if_equal(
            "the last layer for the first token only",
            network,
            lambda: first_token.keep_first_token(network.body),
            lambda: first_token.keep_all_tokens(network.body),
            probe.logits(network),
            lambda: probe.logits(network),
        )
    if any(hasattr(module, "lora_A") for module in network.modules()):  # LoRA layers; peft is slow to import
        _take_merged_adapters(network, probe)


def _take_merged_adapters(network: Network, probe: Probe) -> None:
    name = "merged LoRA layers"
    try:
        from emotion_lit.model import merged_lora
    except Exception as error:  # another version of peft has other layers
        print_left_out(name, network, error_summary(error))
        return

    def logits() -> Tensor:
        probe.step(network)  # in-place operations of some architectures fail only during training
        return probe.logits(network)

    with merged_lora.temporary_adapter_weights(network.encoder):
        install_if_equal(
            name,
            network,
            lambda: merged_lora.use_merged_weights(network.encoder),
            lambda: merged_lora.use_separate_adapters(network.encoder),
            probe.logits(network),
            logits,
        )


def install_eager_attention(network: Network, probe: Probe, expected: Tensor | None = None) -> None:
    """Installs eager attention, which is faster on a CPU; `remove_training_paths` restores the original.

    Args:
        network: The network.
        probe: Two texts.
        expected: Their logits, if they are known.
    """
    expected = probe.logits(network) if expected is None else expected
    if attention.has_replaceable_attention(network.encoder):
        install_if_equal(
            "eager attention",
            network,
            lambda: cpu_kernels.use_eager_attention(network.encoder),
            lambda: attention.use_own_attention(network.encoder),
            expected,
            lambda: probe.logits(network),
        )


def install_unread_masks(network: Network, probe: Probe) -> None:
    """Installs attention masks that are not read, which would wait for a GPU; `remove_training_paths` undoes it.

    Args:
        network: The network.
        probe: Two texts.
    """
    if attention.has_replaceable_attention(network.encoder):
        install_if_equal(
            "attention masks that are not read",
            network,
            lambda: attention.skip_mask_inspection(network.encoder),
            lambda: attention.use_own_attention(network.encoder),
            probe.logits(network),
            lambda: probe.logits(network),
        )


def install_training_paths(network: Network, probe: Probe) -> None:
    """Installs the fast paths for training on a CPU; `remove_training_paths` restores the originals.

    Args:
        network: The network.
        probe: Two texts.
    """
    expected = probe.logits(network)
    install_eager_attention(network, probe, expected)
    install_if_equal(
        "byte dropout",
        network,
        lambda: cpu_kernels.use_byte_dropout(network.encoder),
        lambda: cpu_kernels.use_own_dropout(network.encoder),
        expected,
        lambda: probe.logits(network),
    )


def remove_training_paths(network: Network) -> None:
    """Restores the original attention and dropout.

    Args:
        network: The network.
    """
    cpu_kernels.use_own_dropout(network.encoder)
    attention.use_own_attention(network.encoder)


def can_run_apart(network: Network, probe: Probe) -> bool:
    """Whether frozen lower layers can be run separately from the upper ones; prints a notice if not.

    Args:
        network: A network with frozen lower layers.
        probe: Two texts.
    """
    return install_if_equal(
        "frozen lower layers run once",
        network,
        lambda: check_layers(network.layers),
        lambda: None,
        probe.logits(network),
        lambda: probe.apart(network),
    )


def install_if_equal(
    name: str,
    network: Network,
    install: Callable[[], None],
    undo: Callable[[], None],
    expected: Tensor,
    found: Callable[[], Tensor],
) -> bool:
    """Installs a fast path if the logits stay the same; otherwise undoes it and prints a notice.

    Args:
        name: The name of the fast path in the notice.
        network: The network.
        install: Installs it.
        undo: Removes it, even after an error in ``install``.
        expected: The logits without it.
        found: Computes the logits with it.

    Returns:
        Whether it is installed.
    """
    try:
        install()
        problem = difference(expected, found(), next(network.parameters()).dtype)
    except Exception as error:  # other versions of the libraries may raise anything
        problem = error_summary(error)
    if problem:
        undo()
        print_left_out(name, network, problem)
    return not problem


def print_left_out(name: str, network: Network, problem: str) -> None:
    """Prints that a fast path is not used.

    Args:
        name: The fast path.
        network: The network.
        problem: The reason.
    """
    say(f"fast path left out: {name}, with {type(network.encoder).__name__} ({problem}); this is slower")


def difference(expected: Tensor, found: Tensor, dtype: torch.dtype = torch.float32) -> str:
    """Describes a difference of logits beyond rounding errors; empty if there is none.

    Args:
        expected: ``[texts, classes]``.
        found: Likewise.
        dtype: The dtype in which they were computed.
    """
    off, size = float((expected - found).abs().max()), float(expected.abs().max())
    coarser = max(1.0, torch.finfo(dtype).eps / torch.finfo(torch.float32).eps)
    allowed = min(coarser * TOLERANCE * max(1.0, size), max(SHARE, 8 * torch.finfo(dtype).eps) * size)
    return "" if off <= allowed else f"logits are off by {off:.2g}"
