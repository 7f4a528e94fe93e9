"""Labeled texts, and the names of the splits that they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emotion_lit.data.labels.label_set import Labels

SPLITS = ("train", "validation", "test")


@dataclass
class Rows:
    """The labeled texts of a split.

    Args:
        texts: The texts, ``[rows]``.
        labels: The class ids of each text, the leading class first, ``[rows]``.
        sources: The corpus that each text comes from, ``[rows]``; empty strings if the data has no such column.
        skipped: By reason, how many other rows cannot be used, and the place of the first.
    """

    texts: list[str]
    labels: list[Labels]
    sources: list[str]
    skipped: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> "Rows":
        """The rows at these indices."""
        return Rows(
            [self.texts[index] for index in indices],
            [self.labels[index] for index in indices],
            [self.sources[index] for index in indices],
        )
