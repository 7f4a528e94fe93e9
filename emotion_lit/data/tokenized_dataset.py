"""The tokenized rows of a split, with their targets."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.data.corpus import Corpus
from emotion_lit.data.labels.label_set import LabelSet
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import Tokens, cached_tokens
from emotion_lit.data.vectors import StoredVectors
from emotion_lit.utils.console import say


class TokenizedDataset(Dataset[Batch]):
    """Tokenized rows with their targets. An index is the rows of a whole batch.

    Args:
        tokens: The tokens of the rows.
        targets: The targets of the loss, ``[rows, classes]``.
        first: Each row's first class, ``[rows]``; -1 for a row without a class.
        padding: The token for padding, and its side.
        multiple: The length of a batch is rounded up to a multiple of this number of tokens.

    Attributes:
        features: Outputs of a frozen encoder, one vector for each text. Batches then have them instead of tokens.
        states: Outputs of frozen lower layers, one vector for each token. Batches then have them besides the tokens.
    """

    def __init__(
        self,
        tokens: Tokens,
        targets: npt.NDArray[np.float32],
        first: npt.NDArray[np.int64],
        padding: Padding,
        multiple: int = 1,
    ) -> None:
        self.tokens = tokens
        self.targets = torch.from_numpy(targets)
        self.first = torch.from_numpy(first)
        self.padding = padding
        self.multiple = multiple
        self.features: StoredVectors | None = None
        self.states: StoredVectors | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def padded_lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per row, rounded up to `multiple`, ``[rows]``."""
        return -(-self.tokens.lengths // self.multiple) * self.multiple

    @property
    def fingerprint(self) -> str:
        """A hash of the tokens and targets. It tells a resumed run whether the rows have changed."""
        content = hashlib.sha256(f"{self.tokens.key} {self.multiple}".encode())
        content.update(self.targets.numpy().tobytes())
        return content.hexdigest()

    def __getitem__(self, rows: list[int]) -> Batch:
        index = torch.tensor(rows)
        if self.features is None:
            batch = pad(self.tokens, rows, self.padding, self.multiple)
        else:
            batch = {"features": self.features[rows], "tokens": int(self.tokens.lengths[rows].sum())}
        if self.states is not None:
            batch["states"] = self.padding.moved(
                self.states[rows], self.tokens.lengths[rows], batch["input_ids"].shape[1]
            )
        return {**batch, "targets": self.targets[index], "label": self.first[index], "row": index}


def tokenize_split(
    corpus: Corpus, split: str, classes: tuple[str, ...], tokenizer: PreTrainedTokenizerBase
) -> TokenizedDataset:
    """Tokenizes the rows of a split, or reads their tokens from the cache.

    Args:
        corpus: The rows.
        split: The split.
        classes: The classes, in the order of their ids.
        tokenizer: The backbone's tokenizer.

    Raises:
        UserError: The corpus has no such split, or no row of it is left.
    """
    rows, settings = corpus.rows(split), corpus.settings
    tokens = cached_tokens(rows.texts, tokenizer, settings.max_length, settings.cache_folder, f"tokenize {split}")
    source = "read from the cache" if tokens.from_cache else "tokenized"
    say(f"{split}: {len(rows):,} texts, {len(tokens.ids):,} tokens {source}")
    targets = LabelSet(classes).targets(rows.labels, settings.multi_label)
    first = np.array([ids[0] if ids else -1 for ids in rows.labels], dtype=np.int64)
    return TokenizedDataset(tokens, targets, first, Padding.of(tokenizer), settings.pad_to_multiple_of)
