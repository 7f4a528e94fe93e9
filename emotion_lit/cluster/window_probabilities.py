"""The probabilities of a window of rows, in the same batches as `predict` computes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from emotion_lit.data.window_batches import WindowBatches
from emotion_lit.data.windows import Window
from emotion_lit.inference.collected_window import CollectedWindow
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
    window: Window, column: str, batches: WindowBatches, engine: Engine, classes: int
) -> tuple[npt.NDArray[np.float64], list[str | None]]:
    """The probabilities and notes of a window.

    Args:
        window: The window.
        column: Its column of texts.
        batches: Divides it into batches.
        engine: Computes the probabilities of a batch.
        classes: The number of classes.

    Returns:
        ``[rows, classes]``, NaN in a row without a text; and what there is to say about each row, None for most.
    """
    collected = CollectedWindow(window, classes)
    for batch in batches.of(window, column):
        has_texts = "input_ids" in batch
        collected.add(batch, engine(batch)[: len(batch["places"])] if has_texts else torch.empty(0, classes))
    collected.fetch()
    return collected.probabilities(), collected.notes
