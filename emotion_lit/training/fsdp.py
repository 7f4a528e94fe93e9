"""Fully sharded data parallel training (FSDP2): each process keeps a share of the weights, gradients and optimizer.

Scores and checkpoints are those of other strategies: the first process gathers what it saves, so a checkpoint loads
anywhere, on one CPU too. See https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import trained_names
from emotion_lit.model.network import Network

# The setting trainer.strategy.
FSDP = "fsdp"
# The methods of a network, besides `forward`, that are called from outside.
ENTRIES = ("features", "classify", "states")


class ShardedStrategy(DDPStrategy):
    """Shards the network of an `EmotionClassifier` over all processes when its training is set up.

    It differs from Lightning's own strategies for FSDP in three ways: the network keeps its class and its names, files
    are written by the checkpoint plugin of other strategies, and the model stays on its devices until the report is
    written. Processes start with all weights, so each device has to hold them once.
    """

    def configure_ddp(self) -> None:
        """Shards the network, instead of wrapping it."""
        module: Any = self.lightning_module
        shard(module.built, self.root_device, self.world_size)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The weights that a checkpoint keeps, gathered on the first process; other processes get none."""
        module: Any = self.lightning_module
        state = module.state_dict()
        kept = set(state) if module.settings.tuning == "full" else trained_names(module)
        return self._gathered({name: value for name, value in state.items() if name in kept})

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of the optimizer, gathered on the first process; other processes get none."""
        return self._gathered(super().optimizer_state(optimizer))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Gives each process its share of the optimizer's state."""
        shares = []
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            of_weights = {number: shard_full(values, weights[number]) for number, values in state["state"].items()}
            shares.append({**state, "state": of_weights})
        super().load_optimizer_state_dict({"optimizer_states": shares})

    def teardown(self) -> None:
        """Leaves the model and the optimizers where they are; Lightning would move them to the CPU."""
        module, optimizers = self._lightning_module, self.optimizers
        self._lightning_module, self.optimizers = None, []
        super().teardown()
        self._lightning_module, self.optimizers = module, optimizers

    def _gathered(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state dict with whole tensors; all processes have to call this."""
        gathered: dict[str, Any] = _gather_full(state)
        return gathered if self.is_global_zero else {}


def is_sharded(strategy: Strategy) -> bool:
    """Whether no process has all weights, so that all have to take part in every pass.

    Args:
        strategy: The Trainer's.
    """
    return isinstance(strategy, ShardedStrategy)


def no_gradient(strategy: Strategy) -> AbstractContextManager[Any]:
    """Computes without gradients: in inference mode, which gathered weights cannot be used in.

    Args:
        strategy: The Trainer's.
    """
    return torch.no_grad() if is_sharded(strategy) else torch.inference_mode()


def shard(network: Network, device: torch.device, processes: int) -> None:
    """Shards each layer of the encoder, and what remains of the network.

    Args:
        network: The network.
        device: The device of this process.
        processes: The number of processes.
    """
    if any(hasattr(module, "lora_A") for module in network.modules()):
        from emotion_lit.model.merged_lora import use_separate_adapters  # peft is slow to import

        use_separate_adapters(network.encoder)  # merged weights would be kept whole until the backward pass
    mesh = init_device_mesh(device.type, (processes,))
    try:
        layers: list[nn.Module] = list(network.layers)
    except UserError:  # layers that share their weights, for example
        layers = []
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)
    for name in ENTRIES:
        register_fsdp_forward_method(network, name)


def local_shard(tensor: Tensor) -> Tensor:
    """The share of this process of a sharded tensor; other tensors are returned as they are.

    Args:
        tensor: Any tensor.
    """
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gather_full(tensor: Tensor) -> Tensor:
    """A sharded tensor, gathered, for which all processes have to call this; others are returned as they are.

    Args:
        tensor: Any tensor.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_full(values: Mapping[str, Any], like: Tensor | Mapping[str, Any]) -> dict[str, Any]:
    """Gives this process its share of whole tensors, which all processes have.

    Args:
        values: Tensors by name; others are returned as they are.
        like: The sharded tensor that they belong to, or one for each name.
    """
    return {
        name: _shard_full(value, like.get(name) if isinstance(like, Mapping) else like)
        for name, value in values.items()
    }


def _shard_full(value: Any, like: Any) -> Any:
    if not isinstance(like, DTensor) or isinstance(value, DTensor) or getattr(value, "shape", None) != like.shape:
        return value
    there = value.to(like.to_local().device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def _gather_full(value: Any) -> Any:
    if isinstance(value, Tensor):
        return gather_full(value).cpu()
    if isinstance(value, dict):
        return {key: _gather_full(item) for key, item in value.items()}
    return [_gather_full(item) for item in value] if isinstance(value, list) else value
