"""The classes of a data set: stated, or those that occur; and the class that a name or an id stands for."""

from collections import Counter
from collections.abc import Mapping, Sequence

from emotion_lit.data.labels.column import Readings, as_id
from emotion_lit.data.labels.label_set import LabelError, LabelSettings, Lookup, check_names, normalize_name
from emotion_lit.data.labels.values import Atom
from emotion_lit.errors import unknown
from emotion_lit.utils.console import say
from emotion_lit.utils.names import shown

TRUTHS = {"false": 0, "true": 1}


class Classes:
    """Finds the class of a name or an id.

    Args:
        names: The classes in the order of their ids.
        ids: What each id stands for, where that is not the class of this place.
    """

    def __init__(self, names: Sequence[str], ids: Mapping[int, int] | None = None) -> None:
        check_names(names)
        self.names = tuple(names)
        self._lookup = Lookup(names)
        self._ids = ids

    def find(self, atom: Atom) -> int:
        """The place of a class.

        Args:
            atom: Its name or id.

        Raises:
            LabelError: There is no such class.
        """
        if isinstance(atom, bool | str | float):
            found = self._lookup.find(str(atom))
            if found is not None:
                return found
        truth = TRUTHS.get(normalize_name(str(atom))) if isinstance(atom, bool | str) else None
        index = truth if truth is not None and len(self.names) == 2 else as_id(atom)
        if index is None:
            raise LabelError(str(unknown("label", str(atom), self.names)))
        place = self._ids.get(index) if self._ids is not None else index
        if place is None or not 0 <= place < len(self.names):
            raise LabelError(f"label id {index} is out of range; there are {len(self.names)} classes, from 0 on")
        return place


def find_classes(
    readings: Readings, counts: Sequence[int], settings: LabelSettings, beside: Mapping[int, str]
) -> Classes:
    """The classes that are stated, or else those that occur.

    Args:
        readings: The distinct values of the label column.
        counts: How often each occurs.
        settings: What is known of the labels.
        beside: The names of ids, as a column beside them has them.

    Raises:
        UserError: A name is none that can be written.
    """
    stated = settings.names or settings.stated
    if stated:
        by_place = settings.stated or readings.places is not None
        return Classes(stated, None if by_place else _ids_by_name(stated, readings))
    if readings.places is not None:
        return Classes([str(place) for place in range(readings.places)])
    ids = sorted(atom for atom in readings.atoms if isinstance(atom, int))
    if ids:
        return Classes([beside.get(index, str(index)) for index in ids], {index: row for row, index in enumerate(ids)})
    spellings: dict[str, Counter[str]] = {}
    for reading, count in zip(readings.all, counts, strict=True):
        for name in reading.atoms:
            spellings.setdefault(normalize_name(str(name)), Counter())[str(name)] += count
    commonest = {name: max(written, key=lambda one: (written[one], -len(one))) for name, written in spellings.items()}
    several = {commonest[name]: written for name, written in spellings.items() if len(written) > 1}
    if several:
        name, written = max(several.items(), key=lambda item: item[1].total())
        others = ", ".join(repr(shown(other)) for other, _ in written.most_common() if other != name)
        say(
            f"labels: {len(several)} of {len(spellings)} names differ in case or blanks alone and count as one each, "
            f"such as {others} as {shown(name)!r}; data.labels states them apart"
        )
    return Classes(sorted(commonest.values()))


def _ids_by_name(names: Sequence[str], readings: Readings) -> dict[int, int] | None:
    """The places of ids that are names themselves, as those of stars from 1 to 5, where all ids of the data are."""
    places = {index: place for place, name in enumerate(names) if (index := as_id(name)) is not None}
    ids = {index for atom in readings.atoms if (index := as_id(atom)) is not None}
    return places if len(places) == len(names) and ids <= places.keys() else None
