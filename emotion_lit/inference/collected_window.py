"""The predictions for a window, collected batch by batch."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.data.window_batches import Notes
from emotion_lit.data.windows import Window
from emotion_lit.utils.device_copies import HostCopy


class CollectedWindow:
    """The predictions for a window, whose batches come by length.

    Probabilities stay on their device until all of them are there, because a copy waits for the device.

    Args:
        window: The window.
        classes: The number of classes.
    """

    def __init__(self, window: Window, classes: int) -> None:
        self.window = window
        self._classes = classes
        self._notes: Notes = np.full(len(window), None, dtype=np.object_)
        self._places: list[npt.NDArray[np.int64]] = []
        self._parts: list[Tensor] = []
        self._arrived = 0
        self._copy: HostCopy | None = None

    def add(self, batch: Batch, probabilities: Tensor) -> None:
        """Adds a batch.

        Args:
            batch: A batch of the window.
            probabilities: Those of its texts, ``[rows, classes]``; not used for a batch of rows without a text.
        """
        places = batch["places"]
        if "input_ids" in batch:
            self._places.append(places)
            self._parts.append(probabilities)
        self._notes[places] = batch["notes"]
        self._arrived += len(places)

    @property
    def is_complete(self) -> bool:
        """Whether all batches have come."""
        return self._arrived == len(self.window)

    def fetch(self) -> None:
        """Starts to copy the probabilities from their device."""
        parts, self._parts = self._parts, []
        if parts:  # an engine that replaces another may be on another device
            self._copy = HostCopy(torch.cat([part.to(parts[0].device) for part in parts]))

    @property
    def notes(self) -> list[str | None]:
        """What there is to say about each row."""
        return list(self._notes)

    def probabilities(self) -> npt.NDArray[np.float64]:
        """The probabilities after `fetch`, ``[rows, classes]``; NaN in a row without a text."""
        found = np.full((len(self.window), self._classes), np.nan)
        if self._copy is not None:
            found[np.concatenate(self._places)] = self._copy.wait().double().numpy()
        return found
