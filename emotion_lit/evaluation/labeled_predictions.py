"""Predictions and targets of a labeled split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from emotion_lit.model.decision import decide

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabeledPredictions:
    """Predicted probabilities, with the targets of the same rows.

    Attributes:
        probabilities: ``[rows, classes]``.
        targets: ``[rows, classes]``. Single-label: each class's share of the target. Multi-label: 1 for each class
            that the row has.
        first: The index of each row's first class, ``[rows]``; -1 if it has none.
        multi_label: Whether a row may have several classes.
        thresholds: The decision threshold of each class, ``[classes]``; multi-label only.
        invalid: Which rows the model gave no finite probabilities for, ``[rows]``. Nothing is predicted for them, and
            their probabilities are uniform.
    """

    probabilities: Floats
    targets: Floats
    first: Ints
    multi_label: bool
    thresholds: Floats
    invalid: Bools

    @classmethod
    def from_arrays(
        cls,
        probabilities: npt.ArrayLike,
        targets: npt.ArrayLike,
        first: npt.ArrayLike,
        multi_label: bool,
        thresholds: npt.ArrayLike,
    ) -> "LabeledPredictions":
        """Converts to double precision, and replaces probabilities that are not finite by uniform ones.

        Args:
            probabilities: ``[rows, classes]``.
            targets: ``[rows, classes]``.
            first: The index of each row's first class, ``[rows]``.
            multi_label: Whether a row may have several classes.
            thresholds: ``[classes]``, or one for all.
        """
        values = np.array(probabilities, dtype=np.float64)
        bad = np.asarray(~np.isfinite(values).all(axis=1))
        classes = values.shape[1]
        values[bad] = 0.5 if multi_label else 1 / classes
        if not multi_label:
            values /= np.maximum(values.sum(axis=1, keepdims=True), 1e-300)
        return cls(
            values,
            np.asarray(targets, dtype=np.float64),
            np.asarray(first, dtype=np.int64),
            multi_label,
            np.broadcast_to(np.asarray(thresholds, dtype=np.float64), classes),
            bad,
        )

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.first)

    @property
    def truth(self) -> Bools:
        """The true classes of each row, ``[rows, classes]``; single-label: its first class alone."""
        return true_classes(self.targets, self.first, self.multi_label)

    @property
    def predicted(self) -> Bools:
        """The predicted classes of each row, ``[rows, classes]`` (see `emotion_lit.model.decision`)."""
        decided = decide(torch.from_numpy(self.probabilities), self.multi_label, self.thresholds.tolist())
        return np.asarray(decided.numpy() & ~self.invalid[:, None])

    @property
    def probabilities_or_nan(self) -> Floats:
        """The probabilities, ``[rows, classes]``, with NaN in the rows that are invalid."""
        return np.where(self.invalid[:, None], np.nan, self.probabilities)

    @property
    def correct(self) -> Bools:
        """Whether each row's prediction is correct, ``[rows]``; multi-label: all of its classes, and no others."""
        correct: Bools = (self.predicted == self.truth).all(axis=1)
        return correct

    @property
    def confidence(self) -> Floats:
        """The confidence of each row's prediction, ``[rows]``.

        Single-label: the highest probability. Multi-label: the probability that every decision is correct, if they
        were independent.
        """
        if self.multi_label:
            decided = np.where(self.predicted, self.probabilities, 1 - self.probabilities)
            return np.asarray(decided.prod(axis=1))
        return np.asarray(self.probabilities.max(axis=1, initial=0.0))

    def take(self, rows: Bools | Ints) -> "LabeledPredictions":
        """Selects rows by a mask or by their indices."""
        return replace(
            self,
            probabilities=self.probabilities[rows],
            targets=self.targets[rows],
            first=self.first[rows],
            invalid=self.invalid[rows],
        )

    def with_classes(self, order: Sequence[int]) -> "LabeledPredictions":
        """Reorders the classes; ``order`` gives the present index of each."""
        columns = list(order)
        ranks = np.argsort(columns)
        return replace(
            self,
            probabilities=self.probabilities[:, columns],
            targets=self.targets[:, columns],
            first=np.where(self.first < 0, self.first, ranks[self.first]),
            thresholds=self.thresholds[columns],
        )

    def with_probabilities(self, probabilities: Floats) -> "LabeledPredictions":
        """Replaces the probabilities by others of the same rows, ``[rows, classes]``."""
        made = LabeledPredictions.from_arrays(
            probabilities, self.targets, self.first, self.multi_label, self.thresholds
        )
        return replace(made, invalid=made.invalid | self.invalid)


def true_classes(targets: npt.NDArray[Any], first: Ints, multi_label: bool) -> Bools:
    """The true classes of each row, ``[rows, classes]``.

    Args:
        targets: ``[rows, classes]``.
        first: The index of each row's first class, ``[rows]``.
        multi_label: Whether all classes of a row count, or its first alone.
    """
    return np.asarray(targets > 0 if multi_label else first[:, None] == np.arange(targets.shape[1]))


def label_names(row: Bools, labels: Sequence[str]) -> str:
    """The names of a row's classes, separated by commas.

    Args:
        row: Which classes it has, ``[classes]``.
        labels: The names of all classes.
    """
    return ", ".join(label for label, has in zip(labels, row, strict=True) if has) or "none"
