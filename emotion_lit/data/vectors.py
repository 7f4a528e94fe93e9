"""Vectors of many texts, one or several for each text, in a memory-mapped file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emotion_lit.utils import caches
from emotion_lit.utils.checksums import read_array
from emotion_lit.utils.files import reserve


class StoredVectors:
    """The vectors of many texts, one after the other, such as the outputs of frozen layers.

    Args:
        values: ``[vectors, width]``; bfloat16, which numpy does not have, as its bits in ``uint16``.
        offsets: The index of each text's first vector, and the number of vectors, ``[texts + 1]``.
        dtype: The type of the vectors.
    """

    def __init__(self, values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], dtype: torch.dtype) -> None:
        self.values = values
        self.offsets = offsets
        self.lengths = np.diff(offsets)
        self.dtype = dtype

    @classmethod
    def read(
        cls, file: Path, offsets: npt.NDArray[np.int64], dtype: torch.dtype, *, sealed: bool = True
    ) -> "StoredVectors | None":
        """The vectors in a file; None if it is missing or damaged.

        Args:
            file: The file.
            offsets: The index of each text's first vector, and the number of vectors, ``[texts + 1]``.
            dtype: The type of the vectors.
            sealed: Whether the file ends with a checksum, which is checked.
        """
        values = read_array(file, sealed)
        if values is not None and (len(values) != offsets[-1] or values.dtype != _stored(dtype)):
            caches.warn_unusable(file, "is damaged", "computing it again")
            values = None
        return None if values is None else cls(values, offsets, dtype)

    @staticmethod
    def create(file: Path, offsets: npt.NDArray[np.int64], width: int, dtype: torch.dtype) -> None:
        """Creates a file for the vectors of all texts, and reserves its space on the disk.

        Args:
            file: The file.
            offsets: The index of each text's first vector, and the number of vectors, ``[texts + 1]``.
            width: The size of a vector.
            dtype: The type of the vectors.

        Raises:
            OSError: There is no space.
        """
        kept = np.lib.format.open_memmap(file, mode="w+", dtype=_stored(dtype), shape=(int(offsets[-1]), width))
        reserve(file, kept.offset + kept.nbytes)

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        """The vectors of some texts.

        Args:
            rows: The indices of the texts.

        Returns:
            ``[rows, width]`` if every text has one vector, else ``[rows, longest, width]``, padded with zeros.
        """
        if len(self.values) == len(self.lengths):
            return _tensor(self.values[rows], self.dtype)
        lengths = self.lengths[rows]
        batch = np.zeros((len(rows), lengths.max(), self.values.shape[1]), dtype=self.values.dtype)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            batch[place, :length] = self.values[self.offsets[row] : self.offsets[row] + length]
        return _tensor(batch, self.dtype)


def to_array(vectors: Tensor) -> npt.NDArray[Any]:
    """Vectors as they are stored.

    Args:
        vectors: On the CPU, ``[..., width]``.
    """
    array: npt.NDArray[Any] = (vectors.view(torch.uint16) if vectors.dtype == torch.bfloat16 else vectors).numpy()
    return array


def _stored(dtype: torch.dtype) -> npt.DTypeLike:
    """The type of numpy in which vectors are stored."""
    return to_array(torch.empty(0, dtype=dtype)).dtype


def _tensor(array: npt.NDArray[Any], dtype: torch.dtype) -> Tensor:
    values = torch.from_numpy(array)
    return values.view(dtype) if dtype == torch.bfloat16 else values
