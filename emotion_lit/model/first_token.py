"""Leaves out what nobody reads: in the last layer of an encoder whose head looks at the first token, all the others.

The last layer needs keys and values of every token, and all the rest of the first one alone. Logits and gradients are
the same, with a seventh of the products of a six-layer encoder left out.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from emotion_lit import platforms
from emotion_lit.model.cpu import eager_attention

# Architectures whose layers are built as BERT's, and whose classification head reads the first token.
FAMILY = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


def keep_first_token(pretrained: PreTrainedModel) -> None:
    """Makes the last layer of a classifier give the state of the first token only, ``[batch, 1, hidden]``.

    Args:
        pretrained: A transformers network for sequence classification; of another family, it stays as it is.
    """
    if pretrained.config.model_type not in FAMILY:
        return
    encoder: Any = pretrained.base_model.encoder
    attention = encoder.layer[-1].attention
    attention.self.forward = partial(_attend, attention.self)
    attention.output.register_forward_pre_hook(_cut)


def _attend(
    attention: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, ...]:
    """What the first token attends to, ``[batch, 1, hidden]``, of states ``[batch, tokens, hidden]``."""
    heads = (-1, attention.attention_head_size)
    query, key, value = (
        layer(states).unflatten(-1, heads).transpose(1, 2)
        for layer, states in (
            (attention.query, hidden_states[:, :1]),
            (attention.key, hidden_states),
            (attention.value, hidden_states),
        )
    )
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention)
    if platforms.misreads_masks(hidden_states.device) and not attention.training:
        attend, attention_mask = eager_attention, _added(attention_mask)
    output, weights = attend(
        attention,
        query,
        key,
        value,
        None if attention_mask is None else attention_mask[:, :, :1],
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
    )
    return output.flatten(2), weights


def _added(mask: Tensor | None) -> Tensor | None:
    """A mask that is added to scores, of one that may say which ones count."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -math.inf)


def _cut(_: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Cuts the residual, ``[batch, tokens, hidden]``, to the first token too."""
    return tuple(state[:, :1] for state in states)
