"""The optimizer: parameter groups, the learning-rate schedule, and gradient clipping."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from emotion_lit.data.batching import BatchSampler
from emotion_lit.errors import UserError
from emotion_lit.model.network import Network
from emotion_lit.model.settings import ModelSettings, Schedule
from emotion_lit.model.tuning import Tuning
from emotion_lit.training.fsdp import gather_full

ParameterGroup = dict[str, Any]

# Learning rates of the encoder or its adapters at BERT-base's width are the papers' (arXiv 1810.04805, 2106.09685);
# narrower encoders take larger ones. For all-MiniLM-L6-v2 (384), 1e-4 (full) and 1e-3 (LoRA): with 8,000 rows and four
# epochs macro-F1 .571 and .572 on test, where full at 2e-4 had .551.
BASE_WIDTH = 768
BASE_LEARNING_RATES: dict[Tuning, float] = {"head": 0.0, "lora": 5e-4, "full": 5e-5}
DEFAULT_HEAD_LEARNING_RATES: dict[Tuning, float] = {"head": 3e-4, "lora": 1e-3, "full": 1e-3}


def default_learning_rate(tuning: Tuning, width: int) -> float:
    """The default learning rate of the encoder or its adapters, inversely proportional to the encoder's width.

    Args:
        tuning: What trains.
        width: The encoder's hidden size.
    """
    return BASE_LEARNING_RATES[tuning] * BASE_WIDTH / width


def parameter_groups(network: Network, settings: ModelSettings) -> list[ParameterGroup]:
    """The trainable parameters by learning rate and weight decay; biases and norms have no weight decay.

    Args:
        network: The network.
        settings: The model's settings.

    Returns:
        Up to four groups, each with a name for the learning-rate charts.
    """
    rate, head_rate = settings.learning_rate, settings.head_learning_rate
    rate = default_learning_rate(settings.tuning, network.hidden_size) if rate is None else rate
    head_rate = DEFAULT_HEAD_LEARNING_RATES[settings.tuning] if head_rate is None else head_rate
    head = {id(parameter) for _, parameter in network.head_parameters()}
    groups: list[ParameterGroup] = []
    for part, lr in (("encoder", rate), ("head", head_rate)):
        trained = [p for p in network.parameters() if p.requires_grad and (id(p) in head) == (part == "head")]
        for suffix, decay, members in (
            ("", settings.weight_decay, [p for p in trained if p.ndim > 1]),
            ("_no_decay", 0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if members:
                groups.append({"params": members, "lr": lr, "weight_decay": decay, "name": f"{part}{suffix}"})
    return groups


def learning_rate_factor(step: int, steps: float, warmup: float, schedule: Schedule) -> float:
    """The factor of the learning rates at a step.

    Args:
        step: The step, from zero.
        steps: The number of steps; infinite for a run without an end, whose rates stay constant.
        warmup: Share of the steps over which the rates rise from zero.
        schedule: The decay after warmup.
    """
    if steps == math.inf:  # max_epochs -1
        return 1.0
    steps = max(1, int(steps))
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - rising) / max(1, steps - rising))
    return 1 - progress if schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2


class WarmupSchedule(LambdaLR):
    """Warmup, then linear or cosine decay to zero, or a constant rate, step by step.

    Args:
        optimizer: The optimizer.
        trainer: The Trainer, from which the number of steps is read.
        settings: The model's settings.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, trainer: pl.Trainer, settings: ModelSettings) -> None:
        def factor(step: int) -> float:
            steps = trainer.estimated_stepping_batches
            return learning_rate_factor(step, steps, settings.warmup, settings.schedule)

        super().__init__(optimizer, factor)

    def override_resumed_optimizer(self, groups: list[ParameterGroup], step: int) -> None:
        """Lets learning rates and weight decay from the settings replace those of a resumed optimizer.

        Args:
            groups: The parameter groups with the values of the settings.
            step: The step from which training resumes.
        """
        if [group.get("name") for group in self.optimizer.param_groups] != [group["name"] for group in groups]:
            return
        self.base_lrs = [group["lr"] for group in groups]
        factor = self.lr_lambdas[0](step)
        for resumed, group in zip(self.optimizer.param_groups, groups, strict=True):
            resumed.update(initial_lr=group["lr"], lr=group["lr"] * factor, weight_decay=group["weight_decay"])


def make_optimizer(trainer: pl.Trainer | None, network: Network, settings: ModelSettings) -> torch.optim.AdamW:
    """AdamW with a learning rate for the encoder and one for the head.

    Args:
        trainer: The Trainer.
        network: The network.
        settings: The model's settings.

    Raises:
        UserError: There is no Trainer.
    """
    if trainer is None:
        raise UserError(
            "the schedule of the learning rates needs a Trainer, which knows how many steps there are; without "
            "one, make an optimizer of model.parameters()"
        )
    # A fused optimizer would undo fp16's loss scaling itself, after the gradients are clipped.
    return torch.optim.AdamW(parameter_groups(network, settings), fused=trainer.precision != "16-mixed")


def clip_gradients(
    module: pl.LightningModule, optimizer: torch.optim.Optimizer, value: float, kind: str | None
) -> Tensor | None:
    """Clips the gradients, also of a fused optimizer, which Lightning refuses under autocast for the sake of fp16.

    Args:
        module: The model.
        optimizer: Its optimizer.
        value: The largest norm or value.
        kind: ``value``, or ``norm`` by default.

    Returns:
        The norm of the gradients on their device; None if it was not computed.
    """
    if module.trainer.precision == "16-mixed":  # its optimizer is not fused
        module.clip_gradients(optimizer, value, kind)
    elif kind == "value":
        torch.nn.utils.clip_grad_value_(module.parameters(), value)
    else:
        return gather_full(torch.nn.utils.clip_grad_norm_(module.parameters(), value))
    return None


def accumulation_weight(trainer: pl.Trainer | None, batch_idx: int) -> float:
    """The factor of a batch's loss that makes all rows of an optimizer step count alike in its gradient.

    Args:
        trainer: The Trainer.
        batch_idx: The number of the batch in the epoch.
    """
    sampler = None if trainer is None else getattr(trainer.train_dataloader, "batches", None)
    if trainer is None or not isinstance(sampler, BatchSampler):  # the user's own loader
        return 1.0
    accumulated, steps = int(trainer.accumulate_grad_batches), int(trainer.num_training_batches)
    return sampler.weight(batch_idx, accumulated, steps)
