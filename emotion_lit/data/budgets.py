"""Token budgets: how many tokens a batch may have, padding included."""

from typing import Literal

from emotion_lit.data.shapes import Lengths, padding_share

AUTO: Literal["auto"] = "auto"
TokenBudget = int | Literal["auto"]

# On a CPU a larger batch is no faster, and a smaller one learns more from the same rows.
CPU_TOKENS = 1024
# A GPU needs larger batches to be busy. An epoch keeps at least this many steps, up to the largest budget.
CUDA_TOKENS = (2048, 8192)
STEPS = 500
# Evaluation and prediction keep no activations for a backward pass, so their batches can be larger. Weights are then
# cast less often.
EVALUATION_FACTOR = 4
# Larger inference batches are no faster, and their activations have more elements than 32 bits can count.
MOST_TOKENS = 2**17
# The share of padding up to which larger batches are better.
PADDING = 0.08


def training_budget(setting: TokenBudget, device: str = "cpu", tokens: int = 0) -> int:
    """The token budget of training.

    Args:
        setting: ``data.tokens_per_batch``.
        device: The device type.
        tokens: The number of tokens of the training rows.
    """
    if setting != AUTO:
        return setting
    least, most = CUDA_TOKENS if device == "cuda" else (CPU_TOKENS, CPU_TOKENS)
    return max(least, min(most, power_of_two(tokens // STEPS)))


def filling_budget(lengths: Lengths, padded: Lengths, fits: int, least: int) -> int:
    """The largest token budget that fits in memory and does not mix texts of too different lengths.

    Args:
        lengths: Tokens per row, ``[rows]``.
        padded: The same, rounded up to the lengths of batches.
        fits: The number of tokens of a batch that fits in memory.
        least: The smallest budget.
    """
    budget = power_of_two(min(fits, MOST_TOKENS))
    while budget > least and padding_share(lengths, padded, budget) > PADDING:
        budget //= 2
    return max(1, min(fits, max(least, budget)))


def power_of_two(number: int) -> int:
    """The largest power of two that is not above a number; 1 for smaller numbers.

    Args:
        number: The number.
    """
    return 1 << (max(1, number).bit_length() - 1)
