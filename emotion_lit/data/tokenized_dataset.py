"""The tokenized rows of a split, with their targets."""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.data.corpus import Corpus
from emotion_lit.data.device_rows import DeviceRows
from emotion_lit.data.labels.label_set import LabelSet
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.shapes import round_up
from emotion_lit.data.tokenization import Tokens, cached_tokens
from emotion_lit.data.vectors import StoredVectors
from emotion_lit.utils import device_memory
from emotion_lit.utils.console import say

# The tokens and targets of a split may take this share of the free memory of a device.
SHARE_OF_FREE = 0.1


class TokenizedDataset(Dataset[Batch]):
    """Tokenized rows with their targets. An index is the rows of a whole batch.

    Args:
        tokens: The tokens of the rows.
        targets: The targets of the loss, ``[rows, classes]``.
        first: Each row's first class, ``[rows]``; -1 for a row without a class.
        padding: The token for padding, and its side.
        multiple: The length of a batch is rounded up to a multiple of this number of tokens.

    Attributes:
        steps: The lengths of batches, ascending, if their shapes recur.
        rounded_lengths: Tokens per row, rounded up to `multiple`, ``[rows]``.
        padded_lengths: The same, rounded up to `steps`.
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
        self.rounded_lengths = -(-tokens.lengths // multiple) * multiple
        self.use_lengths(())
        self._on_device: DeviceRows | None = None

    def __len__(self) -> int:
        return len(self.first)

    def use_outputs(self, features: StoredVectors | None = None, states: StoredVectors | None = None) -> None:
        """Adds outputs of frozen modules to the batches; without any, batches have only tokens.

        Args:
            features: One vector for each text.
            states: One vector for each token.
        """
        self.features, self.states = features, states

    @contextlib.contextmanager
    def without_outputs(self) -> Iterator[None]:
        """Inside this block, batches have only tokens."""
        features, states = self.features, self.states
        self.use_outputs()
        try:
            yield
        finally:
            self.use_outputs(features, states)

    def use_lengths(self, steps: tuple[int, ...]) -> None:
        """Lets the shapes of batches recur.

        Args:
            steps: The lengths of batches, ascending; see `shapes.batch_lengths`. Without any, they have the length of
                their longest row.
        """
        self.steps = steps
        self.padded_lengths = round_up(self.rounded_lengths, steps)

    def place(self, device: torch.device, workers: int = 0) -> bool:
        """Moves the tokens and targets to a GPU, where batches are then gathered, if they take little of its memory.

        Args:
            device: The device that computes.
            workers: The number of processes that pad batches; if there are any, nothing is moved.

        Returns:
            Whether the batches are copied to a GPU instead.
        """
        free = device_memory.free(device)
        needed = DeviceRows.bytes(self.tokens, self.targets)
        # Batches with outputs of frozen layers are read from a file.
        moves = free is not None and needed <= SHARE_OF_FREE * free and not (workers or self.features or self.states)
        if not moves:
            self._on_device = None
        elif self._on_device is None or self._on_device.device != device:
            self._on_device = DeviceRows(self.tokens, self.targets, self.first, self.padding, device)
        return free is not None and not moves

    @property
    def fingerprint(self) -> str:
        """A hash of the tokens and targets. It tells a resumed run whether the rows have changed."""
        content = hashlib.sha256(f"{self.tokens.key} {self.multiple}".encode())
        content.update(self.targets.numpy().tobytes())
        return content.hexdigest()

    def __getitem__(self, rows: list[int]) -> Batch:
        if self._on_device is not None and self.features is None and self.states is None:
            return self._on_device.batch(rows, int(self.padded_lengths[rows].max()))
        index = torch.tensor(rows)
        if self.features is None:
            length = int(self.padded_lengths[rows].max()) if self.steps else None
            batch = pad(self.tokens, rows, self.padding, self.multiple, length)
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
