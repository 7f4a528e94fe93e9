"""What makes training faster on a CPU: dropout with fewer random numbers, and attention in single steps.

PyTorch draws a random number for each element, which is 10-15% of a training step of a small encoder on two cores.
Here eight elements share one 64-bit draw, a byte each, so that the probability is rounded to a multiple of 1/256.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

ATTENTION = "emotion_lit_eager"
BYTES = 256
REGISTER = 16  # numbers of single precision, twice as many of half, in AVX-512


class ByteDropout(nn.Dropout):
    """Dropout (arXiv 1207.0580) with a random byte for each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Zeroes elements at random in training, and scales the others.

        Args:
            input: Any shape.
        """
        return byte_dropout(input, self.p) if self.training else input


def byte_dropout(values: Tensor, p: float) -> Tensor:
    """Zeroes elements with a probability, and scales the others so that the expectation stays the same.

    Args:
        values: Any shape.
        p: The probability; rounded to a multiple of 1/256.
    """
    dropped = round(p * BYTES)
    if not 0 < dropped < BYTES:
        return nn.functional.dropout(values, p)
    count = values.numel()
    draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
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
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention in single steps, whose backward pass is faster than the fused one's for short texts on a CPU.

    Args:
        module: The attention layer.
        query: ``[batch, heads, tokens, width]``.
        key: Likewise.
        value: Likewise.
        attention_mask: To be added to the scores, ``[batch, 1, tokens, tokens]``, or None.
        scaling: What the scores are multiplied with.
        dropout: Dropout of the attention weights; zero outside of training.

    Returns:
        What was attended to, ``[batch, tokens, heads, width]``, and the weights.
    """
    keys = key.shape[-2]
    missing = max(0, REGISTER - keys)
    if missing:
        key, value = (pad(states, (0, 0, 0, missing)) for states in (key, value))
        mask = query.new_zeros(keys) if attention_mask is None else attention_mask
        attention_mask = pad(mask, (0, missing), value=-math.inf)
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores = scores + attention_mask
    # PyTorch's softmax takes rows that do not fill a register number by number, at a fourth of the speed.
    weights = scores.softmax(dim=-1, dtype=torch.float32 if keys < 2 * REGISTER else None).to(query.dtype)
    if dropout > 0:
        weights = byte_dropout(weights, dropout)
    return (weights @ value).transpose(1, 2).contiguous(), weights[..., :keys]


def make_fast_on_cpu(encoder: PreTrainedModel) -> None:
    """Puts byte dropout, and attention in single steps, in the place of an encoder's own.

    Args:
        encoder: The encoder.
    """
    for module in encoder.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, ByteDropout(child.p).train(child.training))
    use_eager_attention(encoder)


def use_eager_attention(encoder: PreTrainedModel) -> None:
    """Puts attention in single steps in the place of an encoder's own.

    Args:
        encoder: The encoder.
    """
    AttentionInterface.register(ATTENTION, eager_attention)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    # Some architectures, such as DeBERTa, have attention of their own kind.
    encoder.set_attn_implementation(ATTENTION if encoder._supports_attention_backend else "eager")
