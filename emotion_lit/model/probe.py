"""A probe batch of two short texts, with which a network is checked when it is built."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import tokenize
from emotion_lit.errors import UserError
from emotion_lit.model.network import Network
from emotion_lit.model.precision import SINGLE
from emotion_lit.utils import failures

# Texts of different lengths; the second one is as short as possible.
TEXTS, MOST_TOKENS = ("what a happy day", "a"), 128
# The largest difference of logits that padding may cause, relative to the largest logit.
SHARE = 1e-3


class Probe:
    """Two short texts, one of them padded, whose logits are compared before and after a change of the network.

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
        """Computes gradients as a training step does, and discards them.

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
            # Some encoders draw random numbers in evaluation too; this must not change the random state of the run.
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return compute(self.ids.to(device), self.mask.to(device)).cpu()
        finally:
            network.train(training)


def check_network(network: Network, probe: Probe) -> None:
    """Checks that a network can classify texts, and that padding does not change the logits.

    Args:
        network: The network.
        probe: Two texts.

    Raises:
        UserError: A forward pass fails, or the logits depend on padding.
    """
    name, other = type(network.encoder).__name__, "cls" if network.pooling == "mean" else "mean"
    instead = f"try --model.pooling {other}, or another backbone"
    try:
        alone, padded = probe.alone(network), probe.logits(network)
    except Exception as error:  # architectures may raise anything
        raise UserError(
            f"{name} cannot classify texts with model.pooling {network.pooling}: {error_summary(error)}; {instead}"
        ) from error
    off = float((alone[0] - padded[1]).abs().max())
    if not off <= SHARE * float(alone.abs().max()):
        raise UserError(
            f"with model.pooling {network.pooling}, {name}'s logits depend on the padding of a text "
            f"({off:.2g} of {float(alone.abs().max()):.2g}), and so on the texts that share its batch; {instead}"
        )


def check_step(network: Network, probe: Probe, precision: str) -> None:
    """Checks that a network can be trained in the precision that is active during this call.

    Args:
        network: The network.
        probe: Two texts.
        precision: The name of the precision in the Trainer.

    Raises:
        UserError: A training step fails.
    """
    try:
        probe.step(network)
    except Exception as error:  # architectures may raise anything
        if failures.is_out_of_memory(error):
            raise
        instead = "choose another model.backbone" if precision == SINGLE else f"set --trainer.precision {SINGLE}"
        raise UserError(
            f"{type(network.encoder).__name__} cannot train with precision {precision}: "
            f"{error_summary(error)}; {instead}"
        ) from error


def error_summary(error: Exception) -> str:
    """The class and the first line of an error.

    Args:
        error: The error.
    """
    lines: Any = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines[0] else type(error).__name__
