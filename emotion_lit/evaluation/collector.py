"""Collects the predictions of a split batch by batch, over several processes, in the order of the rows."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.utils import distributed


class PredictionCollector:
    """The probabilities, targets and row numbers of the batches so far."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, probabilities: Tensor, batch: dict[str, Any]) -> None:
        """Adds a batch.

        Args:
            probabilities: ``[batch, classes]``.
            batch: The batch, with ``targets`` (``[batch, classes]``), ``label`` and ``row`` (``[batch]``).

        Raises:
            UserError: The batch lacks one of these, because it comes from another DataModule.
        """
        if not {"targets", "label", "row"} <= set(batch):
            raise UserError("the rows of these batches are not known; give the Trainer EmotionDataModule as datamodule")
        self._parts.append((probabilities.float(), batch["targets"].float(), batch["label"], batch["row"]))

    def gathered(self) -> "PredictionCollector":
        """The batches of all processes, on each of them; every process has to call this."""
        everything = PredictionCollector()
        everything._parts = [part for part in distributed.all_gather(self._on_cpu()) if part is not None]
        return everything

    def _on_cpu(self) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """All batches as one; a GPU is waited for once, and not at each of them."""
        if not self._parts:
            return None
        probabilities, targets, first, rows = (torch.cat(parts).cpu() for parts in zip(*self._parts, strict=True))
        return probabilities, targets, first, rows

    @property
    def rows(self) -> list[int]:
        """The row numbers in ascending order; not all of a split if the Trainer limits its batches."""
        return sorted({row for *_, rows in self._parts for row in rows.tolist()})

    def predictions(self, multi_label: bool, thresholds: list[float]) -> LabeledPredictions:
        """The predictions in the order of the rows.

        Args:
            multi_label: Whether a row may have several classes.
            thresholds: The decision threshold of each class.
        """
        probabilities, targets, first, rows = (torch.cat(parts).numpy() for parts in zip(*self._parts, strict=True))
        # Once each: if there are fewer rows than processes, each process has all of them.
        order = np.unique(rows, return_index=True)[1]
        return LabeledPredictions.from_arrays(
            probabilities[order], targets[order], first[order], multi_label, thresholds
        )
