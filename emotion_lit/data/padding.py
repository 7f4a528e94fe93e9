"""Padding: rows of tokens made equally long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.tokenization import Tokens

LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Padding:
    """What texts are padded with.

    Args:
        token: The id of the padding token.
        left: Whether it comes before a text, for a network that reads the last token, rather than behind it.
    """

    token: int = 0
    left: bool = False

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Padding":
        """The padding of a tokenizer.

        Args:
            tokenizer: The tokenizer.
        """
        return cls(int(tokenizer.pad_token_id or 0), tokenizer.padding_side == LEFT)

    def moved(self, vectors: Tensor, lengths: npt.NDArray[np.int64], width: int) -> Tensor:
        """Vectors of tokens where the tokens of a batch are.

        Args:
            vectors: With padding behind each text, ``[rows, longest, size]``.
            lengths: Tokens of each text, ``[rows]``.
            width: The length of the batch.
        """
        padded = torch.nn.functional.pad(vectors, (0, 0, 0, width - vectors.shape[1]))
        if not self.left:
            return padded
        return torch.stack([row.roll(width - int(length), 0) for row, length in zip(padded, lengths, strict=True)])


def pad(tokens: Tokens, rows: Sequence[int], padding: Padding, multiple: int = 1) -> dict[str, Any]:
    """Pads rows to the longest of them.

    Args:
        tokens: The tokens.
        rows: Which rows.
        padding: What they are padded with, and where.
        multiple: The length of the batch is rounded up to a multiple of so many tokens.

    Returns:
        ``input_ids`` and ``attention_mask``, both ``[rows, longest]``, and ``tokens``, their number without padding.
        There is no mask where nothing is padded, because attention is faster without one.
    """
    lengths = tokens.lengths[rows]
    longest = -(-int(lengths.max()) // multiple) * multiple
    ids = np.full((len(rows), longest), padding.token, dtype=np.int64)
    first = longest - lengths if padding.left else np.zeros_like(lengths)
    for place, row in enumerate(rows):
        ids[place, first[place] : first[place] + lengths[place]] = tokens.ids[
            tokens.offsets[row] : tokens.offsets[row + 1]
        ]
    batch: dict[str, Any] = {"input_ids": torch.from_numpy(ids), "tokens": int(lengths.sum())}
    if int(lengths.min()) < longest:
        places = np.arange(longest)
        there = (places >= first[:, None]) & (places < (first + lengths)[:, None])
        batch["attention_mask"] = torch.from_numpy(there.astype(np.int64))
    return batch
