"""The classes of a dataset, with the spelling of their names: given, or found in the data."""

from collections import Counter
from collections.abc import Mapping, Sequence

from emotion_lit.data.labels.column import ParsedColumn, as_id
from emotion_lit.data.labels.label_set import LabelError, LabelSettings, Lookup, check_names
from emotion_lit.data.labels.parsing import LabelItem
from emotion_lit.data.labels.spelling import normalize_name
from emotion_lit.errors import unknown
from emotion_lit.utils.console import say
from emotion_lit.utils.names import shown

TRUTHS = {"false": 0, "true": 1}


class Classes:
    """The classes, by name and id.

    Args:
        names: The names in the order of the class indices.
        ids: The class index of each id in the data, if ids are not class indices.
    """

    def __init__(self, names: Sequence[str], ids: Mapping[int, int] | None = None) -> None:
        check_names(names)
        self.names = tuple(names)
        self._lookup = Lookup(names)
        self._ids = ids

    def find(self, item: LabelItem) -> int:
        """The index of a class by its name or id; raises `LabelError` if there is no such class."""
        if isinstance(item, bool | str | float):
            found = self._lookup.find(str(item))
            if found is not None:
                return found
        truth = TRUTHS.get(normalize_name(str(item))) if isinstance(item, bool | str) else None
        index = truth if truth is not None and len(self.names) == 2 else as_id(item)
        if index is None:
            raise LabelError(str(unknown("label", str(item), self.names)))
        place = self._ids.get(index) if self._ids is not None else index
        if place is None or not 0 <= place < len(self.names):
            raise LabelError(f"label id {index} is out of range; there are {len(self.names)} classes, numbered from 0")
        return place


def find_classes(
    parsed: ParsedColumn, counts: Sequence[int], settings: LabelSettings, names_of_ids: Mapping[int, str]
) -> Classes:
    """The classes that are given, or else those that occur, in their most frequent spelling.

    Args:
        parsed: The distinct values of the label column.
        counts: The number of rows with each of them.
        settings: What is known about the labels.
        names_of_ids: The names of ids, from a second column.

    Raises:
        UserError: A name cannot be written to a file.
    """
    stated = settings.names or settings.stated
    if stated:
        by_index = settings.stated or parsed.places is not None
        return Classes(stated, None if by_index else _ids_by_name(stated, parsed))
    if parsed.places is not None:
        return Classes([str(place) for place in range(parsed.places)])
    ids = sorted(item for item in parsed.items if isinstance(item, int))
    if ids:
        names = [names_of_ids.get(index, str(index)) for index in ids]
        return Classes(names, {index: place for place, index in enumerate(ids)})
    spellings: dict[str, Counter[str]] = {}
    for label, count in zip(parsed.all, counts, strict=True):
        for name in label.items:
            spellings.setdefault(normalize_name(str(name)), Counter())[str(name)] += count
    commonest = {name: max(written, key=lambda one: (written[one], -len(one))) for name, written in spellings.items()}
    several = {commonest[name]: written for name, written in spellings.items() if len(written) > 1}
    if several:
        name, written = max(several.items(), key=lambda item: item[1].total())
        others = ", ".join(repr(shown(other)) for other, _ in written.most_common() if other != name)
        say(
            f"labels: {len(several)} of {len(spellings)} names differ only in case or spaces and are merged, "
            f"such as {others} into {shown(name)!r}; data.labels keeps them apart"
        )
    return Classes(sorted(commonest.values()))


def _ids_by_name(names: Sequence[str], parsed: ParsedColumn) -> dict[int, int] | None:
    """The class indices of ids that are class names themselves, such as 1 to 5 stars, if all ids of the data are."""
    places = {index: place for place, name in enumerate(names) if (index := as_id(name)) is not None}
    ids = {index for item in parsed.items if (index := as_id(item)) is not None}
    return places if len(places) == len(names) and ids <= places.keys() else None
