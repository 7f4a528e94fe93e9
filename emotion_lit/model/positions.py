"""The longest text that an encoder can read, as limited by its position embeddings."""

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig

from emotion_lit.model.backbone import clear_errors, locate
from emotion_lit.model.pretrained import NO_CODE, read_config

# The names of absolute position embeddings in transformers.
TABLE = re.compile(r"(position_embeddings|embed_positions|positions_embed|wpe)$")
# Settings of rotary and relative positions, which have no limit.
ENDLESS = ("rope_parameters", "rope_theta", "relative_attention", "alibi")


def longest_text(backbone: str, encoder: nn.Module | None = None, up_to: int = 0) -> int | None:
    """The maximum number of tokens, special tokens included; None if there is no limit.

    Args:
        backbone: The name of the backbone.
        encoder: The encoder, if it has been built.
        up_to: The length that the caller needs. If it is far below the limit, an approximate limit is returned.
    """
    if encoder is not None:
        config: Any = encoder.config
    else:
        with clear_errors(backbone):
            config = read_config(locate(backbone))
    config = config.get_text_config()
    stated = getattr(config, "max_position_embeddings", None)
    if not isinstance(stated, int) or stated < 1:
        return None
    # RoBERTa's positions start after the id of the padding token.
    if encoder is None and up_to + int(getattr(config, "pad_token_id", None) or 0) + 1 < stated:
        return stated
    ends = [_end(table) for table in _tables(_skeleton(config) if encoder is None else encoder)]
    if ends:
        return min(stated, *ends)
    return None if any(getattr(config, name, None) for name in ENDLESS) else stated


def _skeleton(config: PretrainedConfig) -> nn.Module:
    """The encoder on the meta device, without memory for its weights."""
    make: Any = AutoModel.from_config
    with torch.device("meta"):
        network: nn.Module = make(config, **NO_CODE)
    return network


def _tables(encoder: nn.Module) -> list[nn.Module]:
    named = [module for name, module in encoder.named_modules() if TABLE.search(name)]
    return [module for module in named if getattr(getattr(module, "weight", None), "ndim", 0) == 2]


def _end(table: Any) -> int:
    padding = getattr(table, "padding_idx", None)
    return int(table.weight.shape[0]) - (0 if padding is None else padding + 1)
