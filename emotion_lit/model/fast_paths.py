"""Shortcuts that lean on the inside of libraries: each is checked when it is taken, and left where it changes anything.

A shortcut is a function that changes a network, and one that changes it back, however far the first one came.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import tokenize
from emotion_lit.errors import UserError
from emotion_lit.model import cpu_kernels, first_token
from emotion_lit.model.network import Network
from emotion_lit.model.partial_forward import check_layers
from emotion_lit.model.precision import SINGLE
from emotion_lit.utils.console import say

# Texts of different lengths; the second one is as short as a text can be.
TEXTS, MOST_TOKENS = ("what a happy day", "a"), 128
# How far logits may be off: the drift of single precision. Those of an untrained network may be tiny themselves.
TOLERANCE, SHARE = 1e-5, 1e-3


class Probe:
    """Two short texts, one of them padded, by whose logits a network is compared with itself.

    Args:
        tokenizer: The backbone's tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        batch = pad(tokenize(TEXTS, tokenizer, MOST_TOKENS), range(len(TEXTS)), Padding.of(tokenizer))
        self.ids = batch["input_ids"]
        self.mask = batch.get("attention_mask", torch.ones_like(self.ids))

    def logits(self, network: Network) -> Tensor:
        """The logits of both texts, ``[2, classes]``.

        Args:
            network: The network.
        """
        return self._run(network, lambda ids, mask: network(ids, mask))

    def alone(self, network: Network) -> Tensor:
        """The logits of the shorter text without padding, ``[1, classes]``.

        Args:
            network: The network.
        """
        tokens = self.mask[1].bool()
        return self._run(network, lambda ids, _: network(ids[1:, tokens]))

    def apart(self, network: Network) -> Tensor:
        """The logits of both texts, ``[2, classes]``, with the lower and the upper layers run apart.

        Args:
            network: A network with frozen lower layers.
        """
        return self._run(network, lambda ids, mask: network.classify_states(network.states(ids, mask), ids, mask))

    def step(self, network: Network) -> None:
        """One step of training without its end: computes gradients, and forgets them.

        Args:
            network: The network.
        """
        device, training = next(network.parameters()).device, network.training
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        network.train()
        try:
            with torch.enable_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                logits = network(self.ids.to(device), self.mask.to(device))
                torch.autograd.grad(logits.sum(), weights, allow_unused=True)
        finally:
            network.train(training)

    def _run(self, network: Network, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        device, training = next(network.parameters()).device, network.training
        network.eval()
        try:
            # Some encoders draw random numbers in evaluation too; what comes later should not depend on this.
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return compute(self.ids.to(device), self.mask.to(device)).cpu()
        finally:
            network.train(training)


def take_fast_paths(network: Network, probe: Probe) -> None:
    """Takes the shortcuts of a network that is built: its first token, and merged adapters.

    Args:
        network: The network.
        probe: Two texts.
    """
    if network.pooling == "cls" and first_token.suits(network.body):
        take(
            "the last layer for the first token alone",
            network,
            lambda: first_token.keep_first_token(network.body),
            lambda: first_token.keep_all_tokens(network.body),
            probe.logits(network),
            lambda: probe.logits(network),
        )
    if any(hasattr(module, "lora_A") for module in network.modules()):  # layers of peft, which takes long to import
        _take_merged_adapters(network, probe)


def _take_merged_adapters(network: Network, probe: Probe) -> None:
    name = "merged LoRA layers"
    try:
        from emotion_lit.model import merged_lora
    except Exception as error:  # peft has other layers
        leave_out(name, network, reason_of(error))
        return

    def logits() -> Tensor:
        probe.step(network)  # some architectures change outputs in place, which is an error in training alone
        return probe.logits(network)

    with merged_lora.trained_alike(network.encoder):
        take(
            name,
            network,
            lambda: merged_lora.compute_merged(network.encoder),
            lambda: merged_lora.compute_apart(network.encoder),
            probe.logits(network),
            logits,
        )


def take_attention(network: Network, probe: Probe, expected: Tensor | None = None) -> None:
    """Takes attention in single steps, which is faster on a CPU; `leave_training_paths` undoes it.

    Args:
        network: The network.
        probe: Two texts.
        expected: Their logits, where they are known.
    """
    expected = probe.logits(network) if expected is None else expected
    if cpu_kernels.has_exchangeable_attention(network.encoder):
        take(
            "attention in single steps",
            network,
            lambda: cpu_kernels.use_eager_attention(network.encoder),
            lambda: cpu_kernels.use_own_attention(network.encoder),
            expected,
            lambda: probe.logits(network),
        )


def take_training_paths(network: Network, probe: Probe) -> None:
    """Takes the shortcuts of a training on a CPU; `leave_training_paths` undoes them.

    Args:
        network: The network.
        probe: Two texts.
    """
    expected = probe.logits(network)
    take_attention(network, probe, expected)
    take(
        "dropout by bytes",
        network,
        lambda: cpu_kernels.use_byte_dropout(network.encoder),
        lambda: cpu_kernels.use_own_dropout(network.encoder),
        expected,
        lambda: probe.logits(network),
    )


def leave_training_paths(network: Network) -> None:
    """Leaves attention and dropout as they are for other devices, and for whoever trains it without us.

    Args:
        network: The network.
    """
    cpu_kernels.use_own_dropout(network.encoder)
    cpu_kernels.use_own_attention(network.encoder)


def can_run_apart(network: Network, probe: Probe) -> bool:
    """Whether frozen lower layers can be run apart from the upper ones; says so in a line if not.

    Args:
        network: A network with frozen lower layers.
        probe: Two texts.
    """
    return take(
        "frozen lower layers run once",
        network,
        lambda: check_layers(network.layers),
        lambda: None,
        probe.logits(network),
        lambda: probe.apart(network),
    )


def check_network(network: Network, probe: Probe) -> None:
    """Checks that a network classifies texts, and that the padding of a text does not matter.

    Args:
        network: The network.
        probe: Two texts.

    Raises:
        UserError: It cannot, or it does.
    """
    name, other = type(network.encoder).__name__, "cls" if network.pooling == "mean" else "mean"
    instead = f"try --model.pooling {other}, or another backbone"
    try:
        alone, padded = probe.alone(network), probe.logits(network)
    except Exception as error:  # whatever an architecture of any kind raises
        raise UserError(
            f"{name} cannot classify texts with model.pooling {network.pooling}: {reason_of(error)}; {instead}"
        ) from error
    off = float((alone[0] - padded[1]).abs().max())
    if not off <= SHARE * float(alone.abs().max()):
        raise UserError(
            f"with model.pooling {network.pooling}, {name}'s logits depend on the padding of a text "
            f"({off:.2g} of {float(alone.abs().max()):.2g}), and so on the texts that share its batch; {instead}"
        )


def check_step(network: Network, probe: Probe, precision: str) -> None:
    """Checks that a network trains in the arithmetic that surrounds this call.

    Args:
        network: The network.
        probe: Two texts.
        precision: What the Trainer calls the arithmetic.

    Raises:
        UserError: It does not.
    """
    try:
        probe.step(network)
    except Exception as error:  # whatever an architecture of any kind raises
        instead = "choose another model.backbone" if precision == SINGLE else f"set --trainer.precision {SINGLE}"
        raise UserError(
            f"{type(network.encoder).__name__} cannot train with precision {precision}: {reason_of(error)}; {instead}"
        ) from error


def take(
    name: str,
    network: Network,
    install: Callable[[], None],
    undo: Callable[[], None],
    expected: Tensor,
    found: Callable[[], Tensor],
) -> bool:
    """Takes a shortcut, if the network says the same with it; else says in a line that it does not.

    Args:
        name: What the shortcut is called in the line.
        network: The network.
        install: Takes it.
        undo: Takes it back, however far `install` came.
        expected: Logits without it.
        found: Computes them with it.

    Returns:
        Whether it is taken.
    """
    try:
        install()
        problem = difference(expected, found(), next(network.parameters()).dtype)
    except Exception as error:  # whatever a library of another version raises
        problem = reason_of(error)
    if problem:
        undo()
        leave_out(name, network, problem)
    return not problem


def leave_out(name: str, network: Network, problem: str) -> None:
    """Says that a shortcut is not taken.

    Args:
        name: The shortcut.
        network: The network.
        problem: Why.
    """
    say(f"shortcut left out: {name}, with {type(network.encoder).__name__} ({problem}); it is slower without")


def difference(expected: Tensor, found: Tensor, dtype: torch.dtype = torch.float32) -> str:
    """How logits differ by more than the drift of the arithmetic; empty where they do not.

    Args:
        expected: ``[texts, classes]``.
        found: Likewise.
        dtype: What they were computed in.
    """
    off, size = float((expected - found).abs().max()), float(expected.abs().max())
    coarser = max(1.0, torch.finfo(dtype).eps / torch.finfo(torch.float32).eps)
    allowed = min(coarser * TOLERANCE * max(1.0, size), max(SHARE, 8 * torch.finfo(dtype).eps) * size)
    return "" if off <= allowed else f"logits are off by {off:.2g}"


def reason_of(error: Exception) -> str:
    """An error in a few words.

    Args:
        error: The error.
    """
    lines: Any = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines[0] else type(error).__name__
