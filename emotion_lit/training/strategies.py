"""Distributed strategies and precision: what they need from the network, and whether it suits them."""

import inspect

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedTokenizerBase

from emotion_lit.model.network import Network
from emotion_lit.model.probe import Probe, check_step
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say

# Texts and tokens of the batch that shows which weights get a gradient.
ROWS, TOKENS = 2, 16


def prepare_strategy(strategy: Strategy, network: Network) -> None:
    """Sets the options of DDP so that each step exchanges gradients and nothing else, if possible.

    Args:
        strategy: The Trainer's.
        network: The network, on the CPU.
    """
    options = getattr(strategy, "_ddp_kwargs", None)
    if not isinstance(strategy, DDPStrategy) or options is None:
        return
    known = inspect.signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options.setdefault(buffers, False)  # they are the same on all, and never change
    options.setdefault("gradient_as_bucket_view", True)
    idle = weights_without_gradient(network)
    if idle and not options.get("find_unused_parameters"):
        options["find_unused_parameters"] = True
        say(f"{len(idle)} weights get no gradient, such as {idle[0]}; DDP looks for them in every step")


def weights_without_gradient(network: Network) -> list[str]:
    """The names of weights that are set to train, and that the logits do not depend on.

    Args:
        network: The network.
    """
    trained = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    vocabulary = int(getattr(network.encoder.config, "vocab_size", 1))
    with torch.random.fork_rng(), torch.enable_grad():
        ids = torch.arange(ROWS * TOKENS, device=trained[0][1].device).view(ROWS, TOKENS) % vocabulary
        logits: Tensor = network(ids, torch.ones_like(ids))
    gradients = torch.autograd.grad(logits.sum(), [weight for _, weight in trained], allow_unused=True)
    return [name for (name, _), gradient in zip(trained, gradients, strict=True) if gradient is None]


def is_checked_when_built(trainer: pl.Trainer) -> bool:
    """Whether a network can be checked as soon as it is built, because it then computes as it does in training.

    Args:
        trainer: The Trainer.
    """
    return trainer.strategy.root_device.type == "cpu" and str(trainer.precision).endswith("mixed")


def check_precision(trainer: pl.Trainer, network: Network, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks, before anything is computed in it, that the architecture trains in the Trainer's precision.

    Args:
        trainer: The Trainer.
        network: The network.
        tokenizer: Its tokenizer.

    Raises:
        UserError: It does not.
    """
    if isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):  # others split the network
        with distributed.fail_together(), trainer.precision_plugin.forward_context():
            check_step(network, Probe(tokenizer), str(trainer.precision))
