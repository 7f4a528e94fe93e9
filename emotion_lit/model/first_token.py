"""Computes the last layer only for the first token, if the classification head uses no other.

The last layer then needs the keys and values of all tokens, but queries, attention output and feed-forward only for the
first one. Logits and gradients stay the same. In a six-layer encoder this saves a seventh of the matrix products.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from emotion_lit.model.cpu_kernels import eager_attention
from emotion_lit.utils import platforms

# Architectures whose layers are built like BERT's, and whose classification head uses the first token.
FAMILY = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


def suits(pretrained: PreTrainedModel) -> bool:
    """Whether the architecture of a network supports this.

    Args:
        pretrained: A transformers network for sequence classification.
    """
    return pretrained.config.model_type in FAMILY


def keep_first_token(pretrained: PreTrainedModel) -> None:
    """Makes the last layer return only the state of the first token, ``[batch, 1, hidden]``.

    Args:
        pretrained: A transformers network for sequence classification.
    """
    attention = _last_attention(pretrained)
    attention.self.forward = partial(_attend, attention.self)
    attention.output.forward = partial(_cut, attention.output)


def keep_all_tokens(pretrained: PreTrainedModel) -> None:
    """Undoes `keep_first_token`.

    Args:
        pretrained: A transformers network for sequence classification.
    """
    for module in pretrained.modules():
        replaced = module.__dict__.get("forward")
        if isinstance(replaced, partial) and replaced.func in (_attend, _cut):
            del module.forward


def _last_attention(pretrained: PreTrainedModel) -> Any:
    encoder: Any = pretrained.base_model.encoder
    return encoder.layer[-1].attention


def _attend(
    attention: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, ...]:
    """The self-attention of the first token: from states ``[batch, tokens, hidden]`` to ``[batch, 1, hidden]``."""
    heads = (-1, attention.attention_head_size)
    query, key, value = (
        layer(states).unflatten(-1, heads).transpose(1, 2)
        for layer, states in (
            (attention.query, hidden_states[:, :1]),
            (attention.key, hidden_states),
            (attention.value, hidden_states),
        )
    )
    if attention_mask is not None:
        # Attention that leaves out padding takes the mask of the texts as it is, ``[batch, tokens]``.
        attention_mask = attention_mask[:, :, :1] if attention_mask.dim() == 4 else attention_mask[:, None, None].bool()
    attend = _attention_function(attention.config)
    if platforms.misreads_masks(hidden_states.device) and not attention.training:
        attend = eager_attention
    if attend is eager_attention:
        attention_mask = _added(attention_mask)
    output, weights = attend(
        attention,
        query,
        key,
        value,
        attention_mask,
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
    )
    return output.flatten(2), weights


def _attention_function(config: Any) -> Any:
    """The attention function. Flash attention packs texts, which does not work for one query per text."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name = config._attn_implementation
    return eager_attention if name == "eager" or "flash" in name else ALL_ATTENTION_FUNCTIONS[name]


def _added(mask: Tensor | None) -> Tensor | None:
    """An additive mask: a boolean mask is converted, others are returned as they are."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -math.inf)


def _cut(output: Any, hidden_states: Tensor, residual: Tensor) -> Tensor:
    """The attention output layer, with the residual ``[batch, tokens, hidden]`` also cut to the first token."""
    result: Tensor = type(output).forward(output, hidden_states, residual[:, :1])
    return result
