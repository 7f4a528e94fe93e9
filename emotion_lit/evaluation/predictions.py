"""What a model said about labelled rows."""

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
class Outputs:
    """Probabilities and what is true.

    Args:
        probabilities: ``[rows, classes]``.
        targets: ``[rows, classes]``: of one class a row, its share of the target; of several, one for each of them.
        first: Each row's first class, ``[rows]``; -1 where there is none.
        multi_label: Whether a row may have several classes.
        thresholds: From which probability on each class is predicted, ``[classes]``; multi-label only.
        invalid: Which rows had no finite probabilities, ``[rows]``: nothing is predicted for them, and their
            probabilities are those of who knows nothing.
    """

    probabilities: Floats
    targets: Floats
    first: Ints
    multi_label: bool
    thresholds: Floats
    invalid: Bools

    @classmethod
    def checked(
        cls,
        probabilities: npt.ArrayLike,
        targets: npt.ArrayLike,
        first: npt.ArrayLike,
        multi_label: bool,
        thresholds: npt.ArrayLike,
    ) -> "Outputs":
        """Outputs in double precision, with equal probabilities where a model gave none, as after a step to infinity.

        Args:
            probabilities: ``[rows, classes]``.
            targets: ``[rows, classes]``.
            first: ``[rows]``.
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
        """How many rows there are."""
        return len(self.first)

    @property
    def truth(self) -> Bools:
        """Which classes a row has: its first alone, or all of them, ``[rows, classes]``."""
        return truth_of(self.targets, self.first, self.multi_label)

    @property
    def predicted(self) -> Bools:
        """Which classes are predicted (see `decide`), ``[rows, classes]``."""
        decided = decide(torch.from_numpy(self.probabilities), self.multi_label, self.thresholds.tolist())
        return np.asarray(decided.numpy() & ~self.invalid[:, None])

    @property
    def measured(self) -> Floats:
        """The probabilities without stopgaps: not numbers where a model gave none, ``[rows, classes]``."""
        return np.where(self.invalid[:, None], np.nan, self.probabilities)

    @property
    def right(self) -> Bools:
        """Whether the prediction is right: the first class, or with several all of them, ``[rows]``."""
        right: Bools = (self.predicted == self.truth).all(axis=1)
        return right

    @property
    def confidence(self) -> Floats:
        """How sure the model is of its prediction as a whole, ``[rows]``.

        Of one class a row its probability; of several, the probability that none of the decisions is wrong, were they
        independent.
        """
        if self.multi_label:
            decided = np.where(self.predicted, self.probabilities, 1 - self.probabilities)
            return np.asarray(decided.prod(axis=1))
        return np.asarray(self.probabilities.max(axis=1, initial=0.0))

    def take(self, rows: Bools | Ints) -> "Outputs":
        """Some of the rows.

        Args:
            rows: A mask, or the places.
        """
        return replace(
            self,
            probabilities=self.probabilities[rows],
            targets=self.targets[rows],
            first=self.first[rows],
            invalid=self.invalid[rows],
        )

    def with_classes(self, order: Sequence[int]) -> "Outputs":
        """The same with the classes in another order.

        Args:
            order: The place that each class has now.
        """
        places = list(order)
        ranks = np.argsort(places)
        return replace(
            self,
            probabilities=self.probabilities[:, places],
            targets=self.targets[:, places],
            first=np.where(self.first < 0, self.first, ranks[self.first]),
            thresholds=self.thresholds[places],
        )

    def with_probabilities(self, probabilities: Floats) -> "Outputs":
        """The same rows with what another model said.

        Args:
            probabilities: ``[rows, classes]``.
        """
        made = Outputs.checked(probabilities, self.targets, self.first, self.multi_label, self.thresholds)
        return replace(made, invalid=made.invalid | self.invalid)


def truth_of(targets: npt.NDArray[Any], first: Ints, multi_label: bool) -> Bools:
    """Which classes rows have: the first alone, or all of them, ``[rows, classes]``.

    Args:
        targets: ``[rows, classes]``.
        first: Each row's first class, ``[rows]``.
        multi_label: Whether a row may have several classes.
    """
    return np.asarray(targets > 0 if multi_label else first[:, None] == np.arange(targets.shape[1]))


def label_names(row: Bools, labels: Sequence[str]) -> str:
    """The names of the classes of a row, for a page.

    Args:
        row: Which classes, ``[classes]``.
        labels: The names of all.
    """
    return ", ".join(label for label, there in zip(labels, row, strict=True) if there) or "none"
