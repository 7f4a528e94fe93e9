"""How long a text may be: an encoder with a table of positions reads no further than the table goes."""

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig

from emotion_lit.model.backbone import clear_errors, locate
from emotion_lit.model.pretrained import NO_CODE, read_config

# What tables of absolute positions are called in transformers.
TABLE = re.compile(r"(position_embeddings|embed_positions|positions_embed|wpe)$")
# Settings of positions that are computed, or relative, and have no end.
ENDLESS = ("rope_parameters", "rope_theta", "relative_attention", "alibi")


def longest_text(backbone: str, encoder: nn.Module | None = None, up_to: int = 0) -> int | None:
    """How many tokens an encoder reads, special ones included; None where its positions have no end.

    Args:
        backbone: The backbone's name.
        encoder: The encoder, where it has been built.
        up_to: How many are asked about; where that is far from the end, a rough answer is enough.
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
    # RoBERTa's positions begin behind the id of padding.
    if encoder is None and up_to + int(getattr(config, "pad_token_id", None) or 0) + 1 < stated:
        return stated
    ends = [_end(table) for table in _tables(_skeleton(config) if encoder is None else encoder)]
    if ends:
        return min(stated, *ends)
    return None if any(getattr(config, name, None) for name in ENDLESS) else stated


def _skeleton(config: PretrainedConfig) -> nn.Module:
    """An encoder without weights."""
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
