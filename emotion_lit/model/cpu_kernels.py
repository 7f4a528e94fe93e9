"""Kernels that make training faster on a CPU: dropout with fewer random numbers, and eager attention.

PyTorch's dropout draws a random number per element, which takes 10-15% of a training step of a small encoder on two
cores. Here each 64-bit random number serves eight elements, one byte each, so the dropout probability is rounded to a
multiple of 1/256.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from emotion_lit.model.attention import replace_attention

ATTENTION = "emotion_lit_eager"
BYTES = 256
# Arguments with which some architectures change the attention weights; not supported here.
OTHER_ATTENTION = ("softcap", "s_aux", "position_bias", "head_mask")
REGISTER = 16  # float32 values in an AVX-512 register; it has room for twice as many values in half precision


class ByteDropout(nn.Dropout):
    """Dropout (arXiv 1207.0580) with a random byte for each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Zeroes random elements during training, and scales the others.

        Args:
            input: Any shape.
        """
        return byte_dropout(input, self.p) if self.training else input


def byte_dropout(values: Tensor, p: float) -> Tensor:
    """Zeroes each element with probability ``p``, and scales the others so that the expectation stays the same.

    Args:
        values: Any shape.
        p: The dropout probability; rounded to a multiple of 1/256.
    """
    dropped = round(p * BYTES)
    if not 0 < dropped < BYTES:
        return nn.functional.dropout(values, p)
    count = values.numel()
    draws = torch.empty(-(-count // 8), dtype=torch.int64, device=values.device).random_(-(2**63), None)
    kept = draws.view(torch.uint8)[:count] >= dropped
    scale = BYTES / (BYTES - dropped)
    return values * kept.view(values.shape).to(values.dtype).mul_(scale)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, Tensor]:
    """Eager attention. For short texts on a CPU, its backward pass is faster than that of fused attention.

    Args:
        module: The attention layer.
        query: ``[batch, heads, tokens, width]``.
        key: The same shape, or fewer heads (grouped-query attention).
        value: Like ``key``.
        attention_mask: An additive mask, ``[batch, 1, tokens, tokens]``, or None.
        scaling: The factor of the scores; None means ``width ** -0.5``.
        dropout: Dropout of the attention weights; 0 outside of training.
        more: Other arguments that architectures pass.

    Returns:
        The attention output, ``[batch, tokens, heads, width]``, and the attention weights.

    Raises:
        NotImplementedError: The architecture needs another kind of attention.
    """
    for name in OTHER_ATTENTION:
        if more.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (states.repeat_interleave(shared, dim=1) for states in (key, value))
    keys = key.shape[-2]
    missing = max(0, REGISTER - keys)
    if missing:
        key, value = (pad(states, (0, 0, 0, missing)) for states in (key, value))
        mask = query.new_zeros(keys) if attention_mask is None else attention_mask
        attention_mask = pad(mask, (0, missing), value=-math.inf)
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores = scores + attention_mask
    # PyTorch's softmax processes rows that do not fill a register element by element, at a quarter of the speed.
    weights = scores.softmax(dim=-1, dtype=torch.float32 if keys < 2 * REGISTER else None).to(query.dtype)
    if dropout > 0:
        weights = byte_dropout(weights, dropout)
    return (weights @ value).transpose(1, 2).contiguous(), weights[..., :keys]


def use_byte_dropout(encoder: nn.Module) -> None:
    """Replaces the dropout of an encoder by `ByteDropout`.

    Args:
        encoder: The encoder.

    Raises:
        RuntimeError: It does not drop the right share of elements on this machine.
    """
    for module in encoder.modules():
        if type(module) is nn.Dropout:
            module.__class__ = ByteDropout
    for p in {module.p for module in encoder.modules() if isinstance(module, ByteDropout)}:
        check_byte_dropout(p)


def use_own_dropout(encoder: nn.Module) -> None:
    """Undoes `use_byte_dropout`.

    Args:
        encoder: The encoder.
    """
    for module in encoder.modules():
        if type(module) is ByteDropout:
            module.__class__ = nn.Dropout  # type: ignore[assignment]


def check_byte_dropout(p: float, count: int = 1 << 14) -> None:
    """Checks the share of dropped elements, and the scale of the others.

    Args:
        p: The dropout probability.
        count: The number of elements to test with.

    Raises:
        RuntimeError: The share or the scale is wrong.
    """
    if not 0 < round(p * BYTES) < BYTES:
        return  # `byte_dropout` then calls PyTorch's dropout
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = byte_dropout(torch.ones(count), p)
    share = float((dropped == 0).float().mean())
    kept = dropped[dropped != 0]
    deviation = 1 / BYTES + 5 * math.sqrt(p * (1 - p) / count)
    if abs(share - p) > deviation or not torch.allclose(kept, torch.tensor(1 / (1 - p)), rtol=2 / BYTES / (1 - p)):
        raise RuntimeError(f"dropout with p={p} drops {share:.2%} of the elements")


def use_eager_attention(encoder: Any) -> None:
    """Replaces the attention of an encoder by `eager_attention`.

    Args:
        encoder: The encoder.
    """
    from transformers.masking_utils import eager_mask

    replace_attention(encoder, ATTENTION, eager_attention, eager_mask)
