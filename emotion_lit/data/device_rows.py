"""The tokenized rows of a split in the memory of a device, where batches are gathered."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.data.padding import Padding
from emotion_lit.data.tokenization import Tokens


class DeviceRows:
    """The tokens and targets of a split on a device. A batch costs one small copy: the indices of its rows.

    Args:
        tokens: The tokens of the rows.
        targets: The targets of the loss, ``[rows, classes]``.
        first: Each row's first class, ``[rows]``.
        padding: The token for padding, and its side.
        device: The device.
    """

    def __init__(self, tokens: Tokens, targets: Tensor, first: Tensor, padding: Padding, device: torch.device) -> None:
        self.device = device
        self.padding = padding
        self._lengths_here = tokens.lengths
        # The last token is the one for padding.
        self._ids = torch.from_numpy(np.append(tokens.ids, np.int32(padding.token))).to(device)
        self._offsets = torch.from_numpy(np.array(tokens.offsets)).to(device)
        self._targets, self._first = targets.to(device), first.to(device)

    @staticmethod
    def bytes(tokens: Tokens, targets: Tensor) -> int:
        """The memory that the rows of a split take.

        Args:
            tokens: The tokens of the rows.
            targets: The targets of the loss, ``[rows, classes]``.
        """
        return 4 * len(tokens.ids) + 16 * len(tokens.offsets) + targets.nbytes

    def batch(self, rows: Sequence[int], length: int) -> Batch:
        """Gathers a batch, without waiting for the device.

        Args:
            rows: The indices of the rows.
            length: The length of the batch, at least that of the longest row.

        Returns:
            What `TokenizedDataset` gives, with tensors on the device, and always with a mask.
        """
        index = torch.tensor(rows).to(self.device, non_blocking=True)
        starts = self._offsets[index]
        lengths = self._offsets[index + 1] - starts
        places = torch.arange(length, device=self.device)
        places = places - (length - lengths)[:, None] if self.padding.left else places.expand(len(rows), length)
        there = (places >= 0) & (places < lengths[:, None])
        ids = self._ids[torch.where(there, starts[:, None] + places, len(self._ids) - 1)]
        return {
            "input_ids": ids.long(),
            "attention_mask": there.long(),
            "tokens": int(self._lengths_here[rows].sum()),
            "targets": self._targets[index],
            "label": self._first[index],
            "row": index,
        }
