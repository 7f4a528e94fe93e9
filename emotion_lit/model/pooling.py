"""Pooling of token states."""

import torch
from torch import Tensor


def masked_mean(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The mean of the token states of each text, padding excluded.

    Args:
        states: ``[batch, tokens, hidden]``.
        attention_mask: ``[batch, tokens]``; None if nothing is padded.

    Returns:
        ``[batch, hidden]``.
    """
    if attention_mask is None:
        return states.mean(dim=1)
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    return torch.sum(states * mask, dim=1) / mask.sum(dim=1).clamp(min=1)
