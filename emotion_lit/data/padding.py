"""Padding of tokens to batches of one length."""

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
    """The padding of a tokenizer.

    Args:
        token: The id of the padding token.
        left: Whether padding comes before the text, for a network that reads the last token.
    """

    token: int = 0
    left: bool = False

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Padding":
        """The padding of a tokenizer."""
        return cls(int(tokenizer.pad_token_id or 0), tokenizer.padding_side == LEFT)

    def moved(self, vectors: Tensor, lengths: npt.NDArray[np.int64], width: int) -> Tensor:
        """Moves the vectors of tokens to the places of the tokens in a batch.

        Args:
            vectors: Padded on the right, ``[rows, longest, size]``.
            lengths: Tokens per text, ``[rows]``.
            width: The length of the batch.

        Returns:
            ``[rows, width, size]``.
        """
        padded = torch.nn.functional.pad(vectors, (0, 0, 0, width - vectors.shape[1]))
        if not self.left:
            return padded
        return torch.stack([row.roll(width - int(length), 0) for row, length in zip(padded, lengths, strict=True)])


def pad(
    tokens: Tokens,
    rows: Sequence[int] | npt.NDArray[np.int64],
    padding: Padding,
    multiple: int = 1,
    length: int | None = None,
) -> dict[str, Any]:
    """Pads rows to the longest of them, or to a given length.

    Args:
        tokens: The tokens of all texts.
        rows: The indices of the texts in the batch.
        padding: The token for padding, and its side.
        multiple: The length of the batch is rounded up to a multiple of this number of tokens.
        length: The length of the batch, at least that of the longest row.

    Returns:
        ``input_ids`` and ``attention_mask``, both ``[rows, longest]``, and ``tokens``, their number without padding.
        There is no mask without padding, because attention is faster then, unless the length is given: a shape that
        recurs always has one.
    """
    lengths = tokens.lengths[rows]
    longest = length or -(-int(lengths.max()) // multiple) * multiple
    first = longest - lengths if padding.left else np.zeros_like(lengths)
    places = np.arange(longest)
    there = (places >= first[:, None]) & (places < (first + lengths)[:, None])
    sources = (tokens.offsets[rows] - first)[:, None] + places  # where there is a token, its index in `tokens.ids`
    ids = np.full((len(rows), longest), padding.token, dtype=np.int64)
    ids[there] = tokens.ids[sources[there]]
    batch: dict[str, Any] = {"input_ids": torch.from_numpy(ids), "tokens": int(lengths.sum())}
    if length or not there.all():
        batch["attention_mask"] = torch.from_numpy(there.astype(np.int64))
    return batch
