"""Outputs of what is frozen, computed once per text and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emotion_lit.model.network import DEPTHS
from emotion_lit.utils import caches
from emotion_lit.utils.files import reserve

# Raise when the same inputs would give other numbers.
FORMAT = 3


def features_key(network_sha256: str, tokens_key: str, precision: str, frozen_layers: int | None) -> str:
    """A name for a file of outputs, made of all that determines them.

    Args:
        network_sha256: The identity of the encoder.
        tokens_key: The identity of the tokens.
        precision: The arithmetic that they are computed in.
        frozen_layers: How many lower layers gave token states; None for the features of the ``mean`` head.
    """
    what = {
        "format": FORMAT,
        "network": network_sha256,
        "tokens": tokens_key,
        "depths": DEPTHS if frozen_layers is None else frozen_layers,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class FrozenPart:
    """The part of a network that is run once per text.

    Args:
        run: Gives a batch's outputs, ``[batch, vectors, width]``.
        width: The width of an output.
        dtype: What outputs are kept as.
        layers: How many lower layers it has, with an output for each token; None for the whole encoder, with one output
            for each text.
    """

    run: Callable[[dict[str, Any]], Tensor]
    width: int
    dtype: torch.dtype
    layers: int | None

    def bytes(self, tokens: int) -> int:
        """The space that token states take.

        Args:
            tokens: How many tokens there are.
        """
        return tokens * self.width * self.dtype.itemsize


class TextOutputs:
    """Outputs of a part of a network for many texts, end to end in a memory-mapped file.

    Args:
        values: ``[vectors, width]``; bfloat16, which numpy has not, as its bits.
        offsets: Where each text begins and, last, where the last one ends, ``[texts + 1]``.
        dtype: What the values are.
    """

    def __init__(self, values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], dtype: torch.dtype) -> None:
        self.values = values
        self.offsets = offsets
        self.lengths = np.diff(offsets)
        self.dtype = dtype

    @classmethod
    def read(
        cls, file: Path, offsets: npt.NDArray[np.int64], dtype: torch.dtype, *, sealed: bool = True
    ) -> "TextOutputs | None":
        """The outputs that were kept, or None if they are not there.

        Args:
            file: Where they would be.
            offsets: Where each text begins in it, ``[texts + 1]``.
            dtype: What the values are.
            sealed: As they were computed.
        """
        values = caches.read_array(file, sealed)
        if values is not None and len(values) != offsets[-1]:
            caches.is_at_fault(file, "is damaged", "computing it again")
            values = None
        return None if values is None else cls(values, offsets, dtype)

    @staticmethod
    def create(part: FrozenPart, offsets: npt.NDArray[np.int64], file: Path) -> None:
        """Makes an empty file of the outputs of all texts, with room on the disk.

        Args:
            part: What gives the outputs.
            offsets: Where each text begins in the file, ``[texts + 1]``.
            file: The file.

        Raises:
            OSError: There is no room.
        """
        stored = np.dtype(np.uint16 if part.dtype == torch.bfloat16 else np.float32)
        shape = (int(offsets[-1]), part.width)
        kept = np.lib.format.open_memmap(file, mode="w+", dtype=stored, shape=shape)
        reserve(file, kept.offset + kept.nbytes)

    @staticmethod
    @torch.inference_mode()
    def fill(part: FrozenPart, batches: Iterable[dict[str, Any]], offsets: npt.NDArray[np.int64], file: Path) -> None:
        """Computes outputs, and puts them where they belong in the file.

        Args:
            part: What gives the outputs.
            batches: Batches on the network's device.
            offsets: Where each text begins in the file, ``[texts + 1]``.
            file: What `create` has made.

        Raises:
            OSError: They cannot be kept there.
        """
        kept = np.lib.format.open_memmap(file, mode="r+")
        for batch in batches:
            outputs = _bits(part.run(batch).to(part.dtype).cpu())
            for row, vectors in zip(batch["row"].tolist(), outputs, strict=True):
                kept[offsets[row] : offsets[row + 1]] = vectors[: offsets[row + 1] - offsets[row]]
        kept.flush()

    def __getitem__(self, rows: list[int]) -> Tensor:
        """The outputs of some texts.

        Args:
            rows: Which.

        Returns:
            ``[rows, width]`` where every text has one vector, else ``[rows, longest, width]``, zero where it has fewer.
        """
        if len(self.values) == len(self.lengths):
            return _tensor(self.values[rows], self.dtype)
        lengths = self.lengths[rows]
        batch = np.zeros((len(rows), lengths.max(), self.values.shape[1]), dtype=self.values.dtype)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            batch[place, :length] = self.values[self.offsets[row] : self.offsets[row] + length]
        return _tensor(batch, self.dtype)


def _tensor(array: npt.NDArray[Any], dtype: torch.dtype) -> Tensor:
    values = torch.from_numpy(array)
    return values.view(dtype) if dtype == torch.bfloat16 else values


def _bits(values: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = (values.view(torch.uint16) if values.dtype == torch.bfloat16 else values).numpy()
    return array
