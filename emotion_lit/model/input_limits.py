"""Inputs that some architectures of transformers cannot read."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Without a mask these derive one from the token ids.
MASK_FROM_TOKENS = ("flaubert", "xlm")

Classify = Callable[[Tensor, Tensor | None], Tensor]


def fewest_tokens(config: Any) -> int:
    """The smallest number of tokens that an architecture can read.

    Funnel halves its input between blocks, and fails if nothing is left.

    Args:
        config: A configuration of transformers.
    """
    blocks = getattr(config, "block_sizes", None)
    return 2 ** (len(blocks) - 1) + 1 if isinstance(blocks, list) and len(blocks) > 1 else 1


def complete_mask(input_ids: Tensor, attention_mask: Tensor | None, config: Any) -> Tensor | None:
    """Gives a mask of ones to architectures that take each padding token for padding if they get no mask.

    Args:
        input_ids: Token ids, ``[batch, tokens]``; a text that spells out the padding token has it too.
        attention_mask: 1 for tokens and 0 for padding, ``[batch, tokens]``; None if nothing is padded.
        config: The configuration of the encoder.
    """
    if attention_mask is None and config.model_type in MASK_FROM_TOKENS:
        return torch.ones_like(input_ids)
    return attention_mask


def classify_by_end_tokens(classify: Classify, input_ids: Tensor, attention_mask: Tensor | None, end: int) -> Tensor:
    """Classifies together only the rows with equally many end tokens.

    Encoder-decoder models of transformers, such as T5 and BART, read the last end token of each row, and refuse a batch
    of rows with different numbers of them, which a text that spells the token out would make.

    Args:
        classify: The forward pass: token ids and mask to logits.
        input_ids: Token ids, ``[batch, tokens]``.
        attention_mask: 1 for tokens and 0 for padding, ``[batch, tokens]``; None if nothing is padded.
        end: The id of the end token.

    Returns:
        Logits, ``[batch, classes]``.
    """
    counts = (input_ids == end).sum(dim=1)
    groups = [(counts == count).nonzero()[:, 0] for count in torch.unique(counts)]
    if len(groups) == 1:
        return classify(input_ids, attention_mask)
    parts = [classify(input_ids[rows], None if attention_mask is None else attention_mask[rows]) for rows in groups]
    return torch.cat(parts)[torch.cat(groups).argsort()]


def is_readable(token_ids: Sequence[int], config: Any) -> bool:
    """Whether transformers' own model can read a text, in any batch.

    Args:
        token_ids: The tokens of the text.
        config: A configuration of transformers.
    """
    if len(token_ids) < fewest_tokens(config):
        return False
    return not config.is_encoder_decoder or list(token_ids).count(config.eos_token_id) <= 1
