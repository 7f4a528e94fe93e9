"""The probabilities of a window of rows, in the same batches as `predict` computes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from emotion_lit.data.streaming import TextStream
from emotion_lit.data.windows import Window
from emotion_lit.inference.engines import Engine


class Texts(Window):
    """A window of texts that come from no file.

    Args:
        texts: The texts, and values that are not texts, ``[rows]``.
    """

    def __init__(self, texts: list[Any]) -> None:
        super().__init__(0, (), np.arange(len(texts)), (), "")
        self._texts = texts

    def values(self, column: str) -> list[Any]:
        """The texts; there is no other column."""
        return self._texts


@torch.inference_mode()
def probabilities_of(
    window: Window, stream: TextStream, engine: Engine, classes: int
) -> tuple[npt.NDArray[np.float64], list[str | None]]:
    """The probabilities and notes of a window.

    Args:
        window: The window.
        stream: Divides it into batches.
        engine: Computes the probabilities of a batch.
        classes: The number of classes.

    Returns:
        ``[rows, classes]``, NaN in a row without a text; and what there is to say about each row, None for most.
    """
    found = np.full((len(window), classes), np.nan)
    notes = np.full(len(window), None, dtype=np.object_)
    for batch in stream.batches(window):
        places = batch["places"]
        if "input_ids" in batch:
            found[places] = engine(batch).cpu().double().numpy()
        notes[places] = batch["notes"]
    return found, notes.tolist()
