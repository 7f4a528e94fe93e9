"""Leaves out what nobody reads: in the last layer of an encoder whose head looks at the first token, all the others.

The last layer needs keys and values of every token, and all the rest of the first one alone. Logits and gradients are
the same, with a seventh of the products of a six-layer encoder left out.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from emotion_lit.model.cpu_kernels import eager_attention
from emotion_lit.utils import platforms

# Architectures whose layers are built as BERT's, and whose classification head reads the first token.
FAMILY = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


def suits(pretrained: PreTrainedModel) -> bool:
    """Whether a network is of an architecture whose last layer can be cut.

    Args:
        pretrained: A transformers network for sequence classification.
    """
    return pretrained.config.model_type in FAMILY


def keep_first_token(pretrained: PreTrainedModel) -> None:
    """Makes the last layer of a classifier give the state of the first token only, ``[batch, 1, hidden]``.

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
    """What computes attention; fused attention for packed texts has no use for one token of each."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name = config._attn_implementation
    return eager_attention if name == "eager" or "flash" in name else ALL_ATTENTION_FUNCTIONS[name]


def _added(mask: Tensor | None) -> Tensor | None:
    """A mask that is added to scores, of one that may say which ones count."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -math.inf)


def _cut(output: Any, hidden_states: Tensor, residual: Tensor) -> Tensor:
    """The end of an attention layer, with the residual, ``[batch, tokens, hidden]``, cut to the first token too."""
    result: Tensor = type(output).forward(output, hidden_states, residual[:, :1])
    return result
