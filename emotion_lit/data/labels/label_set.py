"""The classes of a task: their names and ids, and the targets of the loss."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_lit.data.labels.spelling import normalize_name
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.names import listed

Labels = tuple[int, ...]


class LabelError(Exception):
    """A value that is not a label.

    Args:
        message: The error, for a sentence that begins with the place of the value.
        value: The value, for finding it in its column.
    """

    def __init__(self, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.value = value


@dataclass(frozen=True)
class LabelSettings:
    """What is known about the labels before they are read.

    Args:
        names: The classes in the order of their ids, from `data.labels`.
        stated: The classes in the order of their ids, from the dataset, such as from a ``ClassLabel``.
        classes: The classes of a trained model, which help to detect separators.
        multi_label: Whether a row can have several classes, or none.
        separator: The separator of several labels; ``""`` for single labels; None detects it.
        column: The column, in words.
    """

    names: Sequence[str] | None = None
    stated: Sequence[str] | None = None
    classes: Sequence[str] = ()
    multi_label: bool = False
    separator: str | None = None
    column: str = "the label column"


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task, in the order of their ids.

    Args:
        names: The names; the id of a class is its index.
        origin: How the labels were read, in words for the run summary.
    """

    names: tuple[str, ...]
    origin: str = field(default="", compare=False)

    def id(self, name: str) -> int:
        """The id of a class by its name, in any case; raises `UserError` if there is no such class."""
        index = Lookup(self.names).find(name)
        if index is None:
            raise unknown("label", name, self.names)
        return index

    def targets(self, rows: Sequence[Labels], multi_label: bool) -> npt.NDArray[np.float32]:
        """The targets of the loss.

        Args:
            rows: The class ids of each row.
            multi_label: True sets each class of a row to 1; False divides the probability evenly between them.

        Returns:
            ``[rows, classes]``.
        """
        targets = np.zeros((len(rows), len(self.names)), dtype=np.float32)
        for row, ids in enumerate(rows):
            for index in ids:
                targets[row, index] = 1.0 if multi_label else 1.0 / len(ids)
        return targets


class Lookup:
    """Finds classes by name: an exact match, else a match without regard to case and spaces if it is unique.

    Args:
        names: The names in the order of the ids.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.exact = {name: index for index, name in enumerate(names)}
        normalized = [normalize_name(name) for name in names]
        counts = Counter(normalized)
        self._normalized = {name: index for index, name in enumerate(normalized) if counts[name] == 1}

    def find(self, name: str) -> int | None:
        """The id of a class by its name; None if there is no such class."""
        found = self.exact.get(name)
        return self._normalized.get(normalize_name(name)) if found is None else found


def check_names(names: Sequence[Any]) -> None:
    """Raises `UserError` unless each name is unique, visible, and can be written to a file."""
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"the label {name!r} is not a string; put quotes around it")
        if not name.strip():
            raise UserError(f"a label is {name!r}, which is invisible; give it a name")
        if not _is_text(name):
            raise UserError(f"the label {name!a} has a character that cannot be written to a file; remove it")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"a label is named twice: {listed(twice)}")


def _is_text(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False
