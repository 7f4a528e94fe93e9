"""Inference batches that fill the memory of a device, and are halved where they do not fit."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import EVALUATION_FACTOR, filling_budget
from emotion_lit.data.packing import Packing
from emotion_lit.data.shapes import Lengths
from emotion_lit.errors import UserError
from emotion_lit.utils import device_memory, failures, platforms
from emotion_lit.utils.console import say

# The share of the free memory that batches may fill. The rest is for fragments, and for what is allocated later.
SHARE_OF_FREE = 0.5
# The size of the batch that is measured.
PROBE_TOKENS = 4096


class MemoryLimit:
    """Computes inference batches. One that does not fit in memory is halved, and so are later ones of its size.

    Args:
        names_setting: Whether the message names the setting of ``fit`` and ``predict`` that avoids it.

    Attributes:
        tokens: The number of tokens that fits, padding included; None as long as all batches did.
    """

    def __init__(self, names_setting: bool = True) -> None:
        self.tokens: int | None = None
        self._names_setting = names_setting

    def run(self, compute: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        """Computes a batch, in parts if necessary.

        Args:
            compute: Computes a batch, ``[rows, ...]``.
            batch: The batch; only batches of tokens are halved.

        Raises:
            UserError: A single text does not fit.
        """
        if not isinstance(batch, Mapping) or "input_ids" not in batch:
            return compute(batch)
        before = self.tokens
        result = self._run(compute, batch)
        if self.tokens is not None and self.tokens != before:
            value = max(1, self.tokens // EVALUATION_FACTOR)
            advice = f", which --data.tokens_per_batch {value} takes from the start" if self._names_setting else ""
            say(
                f"a batch of {batch['input_ids'].numel():,} tokens does not fit in memory; going on with "
                f"{self.tokens:,}{advice}",
                from_all=True,
            )
        return result

    def _run(self, compute: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        rows, length = batch["input_ids"].shape
        if self.tokens is None or rows == 1 or rows * length <= self.tokens:
            try:
                return compute(batch)
            except (RuntimeError, MemoryError) as error:
                if not failures.is_out_of_memory(error):
                    raise
                if rows == 1:
                    raise UserError(does_not_fit(length)) from error
            # After the handler, because the traceback of the error keeps its tensors.
            self.tokens = rows * length // 2
            device_memory.empty_cache(batch["input_ids"].device)
        halves = (_part(batch, rows, part) for part in (slice(rows // 2), slice(rows // 2, rows)))
        return torch.cat([self._run(compute, half) for half in halves])


def does_not_fit(length: int) -> str:
    """The message for a text that is too long for the memory.

    Args:
        length: Its number of tokens, padding included.
    """
    return (
        f"out of memory with a single text of {length} tokens; take a smaller --data.max_length or --model.backbone, "
        "or close other programs"
    )


def _part(batch: Batch, rows: int, part: slice) -> Batch:
    def cut(value: Any) -> Any:
        return value[part] if isinstance(value, Tensor | list) and len(value) == rows else value

    return {key: cut(value) for key, value in batch.items()}


def tokens_that_fit(compute: Callable[[Batch], Any], probe: Batch, device: torch.device) -> int | None:
    """The number of tokens of an inference batch that fits in the free memory of a GPU, by measuring a batch.

    Args:
        compute: Computes a batch.
        probe: A batch of the longest texts, which take the most memory per token.
        device: The device.

    Returns:
        The number; None where the memory cannot be measured, as on a CPU.
    """
    if (free := device_memory.free(device)) is None:
        return None
    compute(probe)  # libraries allocate their workspaces at first
    used = device_memory.used_by(lambda: compute(probe), device)
    return int(SHARE_OF_FREE * free * probe["input_ids"].numel() / max(1, used))


def fill_memory(
    packing: Packing, compute: Callable[[Batch], Any], device: torch.device, max_length: int, is_auto: bool
) -> None:
    """Lets the shapes of batches recur where a device does extra work for new ones, and fills its memory.

    Args:
        packing: Packs texts into batches.
        compute: Computes a batch.
        device: The device.
        max_length: The length of the longest text.
        is_auto: Whether the size of the batches may be chosen.
    """
    if not platforms.has_cost_per_shape(device):
        return
    usual, fits = packing.tokens_per_batch, None
    if is_auto and device_memory.free(device) is not None:
        ids = torch.ones(max(1, PROBE_TOKENS // max_length), max_length, dtype=torch.int64, device=device)
        fits = tokens_that_fit(compute, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, device)

    def choose(lengths: Lengths) -> int:
        return usual if fits is None else filling_budget(lengths, lengths, fits, usual)

    packing.use_shapes(choose, max_length)
