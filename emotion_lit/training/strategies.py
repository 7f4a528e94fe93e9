"""Options of strategies, and checks that a network trains with the strategy and precision of the Trainer."""

import inspect
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.model.network import Network
from emotion_lit.model.probe import Probe, check_step
from emotion_lit.training.fsdp import FSDP, is_sharded
from emotion_lit.utils import distributed, platforms
from emotion_lit.utils.console import say

# Parts of the names of strategies that cannot train this model.
UNSUPPORTED = ("deepspeed", "fsdp", "xla", "modelparallel")
# The shape of the batch that shows which weights get a gradient.
ROWS, TOKENS = 2, 16


def check_strategy(trainer: Any, compiled: bool) -> None:
    """Checks that the strategy can train this model on this machine.

    Args:
        trainer: The settings of the Trainer.
        compiled: Whether the encoder is compiled.

    Raises:
        UserError: It cannot.
    """
    strategy = trainer.strategy
    name = strategy if isinstance(strategy, str) else str(getattr(strategy, "class_path", ""))
    if name == FSDP:
        if platforms.device_type(trainer.accelerator) != "cuda":
            raise UserError(
                "trainer.strategy is fsdp, which shards a model over CUDA GPUs, and PyTorch finds none here; leave it "
                "out, and several processes use ddp"
            )
        if compiled:
            raise UserError("trainer.strategy fsdp cannot shard a compiled encoder; leave out model.compile_encoder")
    elif any(part in name.lower() for part in UNSUPPORTED):
        raise UserError(
            f"trainer.strategy is {name.rsplit('.')[-1]}, which cannot train this model; leave it out (ddp), or give "
            "fsdp to shard the model over several GPUs"
        )


def prepare_strategy(strategy: Strategy, network: Network) -> None:
    """Sets the options of DDP so that each step exchanges gradients and nothing else, if possible.

    Args:
        strategy: The Trainer's.
        network: The network, on the CPU.
    """
    options = getattr(strategy, "_ddp_kwargs", None)
    if not isinstance(strategy, DDPStrategy) or is_sharded(strategy) or options is None:
        return
    known = inspect.signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options.setdefault(buffers, False)  # buffers are the same in all processes, and never change
    options.setdefault("gradient_as_bucket_view", True)
    unused = weights_without_gradient(network)
    if unused and not options.get("find_unused_parameters"):
        options["find_unused_parameters"] = True
        say(f"{len(unused)} weights get no gradient, such as {unused[0]}; DDP uses find_unused_parameters")


def weights_without_gradient(network: Network) -> list[str]:
    """The names of trainable weights that the logits do not depend on.

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
    """Whether a network can be checked right after it is built, because it is already on the device of training.

    Args:
        trainer: The Trainer.
    """
    return trainer.strategy.root_device.type == "cpu" and str(trainer.precision).endswith("mixed")


def _has_shards(network: Network) -> bool:
    return any(isinstance(weight, DTensor) for weight in network.parameters())


def check_precision(trainer: pl.Trainer, network: Network, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks, before training, that the architecture supports the Trainer's precision.

    Args:
        trainer: The Trainer.
        network: The network.
        tokenizer: Its tokenizer.

    Raises:
        UserError: A training step fails.
    """
    if isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) and not _has_shards(network):
        with distributed.fail_together(), trainer.precision_plugin.forward_context():
            check_step(network, Probe(tokenizer), str(trainer.precision))
