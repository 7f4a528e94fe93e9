"""Labels: names, ids, and the targets that a loss and a metric need."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.names import listed

Labels = tuple[int, ...]
# What cannot be seen, and is no blank for Python.
UNSEEN = "\u200b\ufeff\u2060"


class LabelError(Exception):
    """A value that is no label; the message goes on after its place.

    Args:
        message: What is wrong with it.
        value: The value, where it has to be found in a column.
    """

    def __init__(self, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.value = value


@dataclass(frozen=True)
class LabelSettings:
    """What is known of the labels before they are read.

    Args:
        names: The classes in the order of their ids, as `data.labels` has them.
        stated: The classes in the order of their ids, as the data state them, such as by a ``ClassLabel``.
        classes: The classes of a trained model, which help to tell one name from several.
        multi_label: Whether a row may have several classes, or none.
        separator: What stands between the labels of a row; ``""`` for nothing; None finds it.
        column: The column, or what is in its place, in words.
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
        names: The names; the id of a class is its place.
        origin: How the labels were read, in words for the header.
    """

    names: tuple[str, ...]
    origin: str = field(default="", compare=False)

    def id(self, name: str) -> int:
        """The id of a class.

        Args:
            name: Its name, in any case.

        Raises:
            UserError: There is no such class.
        """
        index = Lookup(self.names).find(name)
        if index is None:
            raise unknown("label", name, self.names)
        return index

    def targets(self, rows: Sequence[Labels], multi_label: bool) -> npt.NDArray[np.float32]:
        """What the loss is computed against.

        Args:
            rows: The class ids of each row.
            multi_label: False spreads the probability evenly over a row's classes; true sets each of them to one.

        Returns:
            ``[rows, classes]``.
        """
        targets = np.zeros((len(rows), len(self.names)), dtype=np.float32)
        for row, ids in enumerate(rows):
            for index in ids:
                targets[row, index] = 1.0 if multi_label else 1.0 / len(ids)
        return targets


class Lookup:
    """Finds classes by their names: exactly, or with other case and blanks where that is one class only.

    Args:
        names: The names in the order of the ids.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.exact = {name: index for index, name in enumerate(names)}
        folded = [normalize_name(name) for name in names]
        counts = Counter(folded)
        self._folded = {name: index for index, name in enumerate(folded) if counts[name] == 1}

    def find(self, name: str) -> int | None:
        """The id of a class, if it is one.

        Args:
            name: Its name.
        """
        found = self.exact.get(name)
        return self._folded.get(normalize_name(name)) if found is None else found


def trimmed(name: str) -> str:
    """A name without blanks, and what cannot be seen, around it.

    Args:
        name: The name.
    """
    return name.strip().strip(UNSEEN).strip()


def normalize_name(name: str) -> str:
    """A name without differences of case, of blanks, and of how its accents are encoded.

    Args:
        name: The name.
    """
    return " ".join(unicodedata.normalize("NFC", trimmed(name)).casefold().split())


def check_names(names: Sequence[Any]) -> None:
    """Checks that each class has a name of its own that can be written.

    Args:
        names: The names.

    Raises:
        UserError: One has not.
    """
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"the label {name!r} is not a string; put quotes around it")
        if not name.strip():
            raise UserError(f"a label is {name!r}, which nobody can see; give it a name")
        if not _is_text(name):
            raise UserError(f"the label {name!a} holds half a character or a NUL, which no file can keep; mend it")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"a label is named twice: {listed(twice)}")


def _is_text(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False
