"""Outputs of the frozen part of a network, computed once per text."""

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

from emotion_lit.data.vectors import to_array
from emotion_lit.model.network import DEPTHS

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


def fill_vectors(
    part: FrozenPart, batches: Iterable[dict[str, Any]], offsets: npt.NDArray[np.int64], file: Path
) -> None:
    """Computes the outputs of a frozen part, and writes them to their places in a file; call it without gradients.

    Args:
        part: The part of the network.
        batches: Batches on the network's device.
        offsets: The index of each text's first vector, and the number of vectors, ``[texts + 1]``.
        file: The file, made by `StoredVectors.create`.

    Raises:
        OSError: The file cannot be written.
    """
    kept = np.lib.format.open_memmap(file, mode="r+")
    for batch in batches:
        outputs = to_array(part.run(batch).to(part.dtype).cpu())
        for row, vectors in zip(batch["row"].tolist(), outputs, strict=True):
            kept[offsets[row] : offsets[row + 1]] = vectors[: offsets[row + 1] - offsets[row]]
    kept.flush()
