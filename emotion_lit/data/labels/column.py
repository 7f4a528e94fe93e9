"""The readings of a label column made one of a kind: separators, what is missing, ids in texts, ones by place."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from emotion_lit.data.formats.csv_dialect import NAMES
from emotion_lit.data.labels.label_set import LabelError, LabelSettings, Lookup, normalize_name
from emotion_lit.data.labels.one_hot import is_one_hot
from emotion_lit.data.labels.separators import find_separator, split_labels
from emotion_lit.data.labels.values import Atom, Reading, is_missing
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say
from emotion_lit.utils.names import shown

# An id as a text; pandas writes ids as decimal numbers where a value was missing.
ID = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})(?:\.0*)?")
DECIMAL = re.compile(r"[+-]?[0-9]*[.,][0-9]+|" + ID.pattern)
# What Python prints for no value, and a name that a class may have.
PYTHON_NONE = "None"
UNLABELLED = -1

At = Callable[[int], str]


@dataclass(frozen=True)
class Readings:
    """The distinct values of a label column as they are understood.

    Args:
        all: The reading of each.
        separator: What stood between several labels.
        places: The length of the lists of zeros and ones by place, if they were such lists.
    """

    all: list[Reading]
    separator: str | None = None
    places: int | None = None

    @property
    def atoms(self) -> set[Atom]:
        """All names and ids, each once."""
        return {atom for reading in self.all for atom in reading.atoms}


def settle(readings: Sequence[Reading], settings: LabelSettings, at: At) -> Readings:
    """Makes the readings of single values those of a column.

    Args:
        readings: The distinct values, each as it reads by itself.
        settings: What is known of the labels.
        at: The first place of one of them, for messages.

    Raises:
        UserError: The column may mean two things, or is of things that are no labels.
    """
    names = settings.names or settings.stated
    lookup = Lookup(names) if names else None
    separated, separator = _separated(readings, settings, lookup, at)
    found = _without_missing(separated, settings, lookup, at)
    _check_scores(found, lookup, at)
    places = _places(found, at)
    if places is None:
        if lookup is None:
            found = _typed(found)
            _check_kinds(found, at)
        return Readings(found, separator)
    size = len(names or ()) or places
    if size != places:
        raise UserError(
            f"{settings.column} has lists of 0 and 1 for {places} places, but there are {size} names; give as many in "
            "data.labels"
        )
    ones = [
        replace(one, atoms=tuple(place for place, mark in enumerate(_numbers(one) or ()) if mark == 1)) for one in found
    ]
    return Readings(ones, separator, places)


def as_id(atom: Atom) -> int | None:
    """The id that a name or number is.

    Args:
        atom: The name or number.
    """
    if isinstance(atom, str):
        return int(atom.partition(".")[0]) if ID.fullmatch(atom) else None
    return None if isinstance(atom, bool | float) else atom


def _separated(
    readings: Sequence[Reading], settings: LabelSettings, lookup: Lookup | None, at: At
) -> tuple[list[Reading], str | None]:
    texts = {code: str(reading.atoms[0]) for code, reading in enumerate(readings) if reading.form == "text"}

    def known(text: str) -> bool:
        if lookup is None:
            return False
        index = as_id(text)
        return lookup.find(text) is not None or (index is not None and 0 <= index < len(lookup.exact))

    separator = NAMES.get(settings.separator or "", settings.separator)
    if separator is None:
        try:
            separator = find_separator(
                list(texts.values()), known if lookup else None, settings.classes, settings.multi_label
            )
        except LabelError as error:
            place = at(next(code for code, text in texts.items() if text == error.value))
            raise UserError(f"{place}: {error}") from None
    if settings.separator and not any(settings.separator in text for text in texts.values()):
        say(f"data.label_separator {settings.separator!r} has no effect; no label of {settings.column} has it")
    if not separator:
        return list(readings), None
    result = list(readings)
    for code, text in texts.items():
        if separator in text and not (lookup and lookup.find(text) is not None):
            result[code] = Reading(tuple(split_labels(text, separator)), "list")
    return result, separator if any(separator in text for text in texts.values()) else None


def _without_missing(
    readings: Sequence[Reading], settings: LabelSettings, lookup: Lookup | None, at: At
) -> list[Reading]:
    """Without what stands for no label in this column: ``None``, and -1 where a ``ClassLabel`` is stated."""
    stated = lookup is not None
    keeps_none = lookup.find(PYTHON_NONE) is not None if lookup else _none_is_a_name(readings, at)

    def is_none(atom: Atom) -> bool:
        if isinstance(atom, str):
            if lookup and atom in lookup.exact:
                return False
            return (atom == PYTHON_NONE and not keeps_none) or is_missing(atom)
        return stated and settings.stated is not None and not isinstance(atom, bool) and atom == UNLABELLED

    result = []
    for reading in readings:
        kept = tuple(atom for atom in reading.atoms if not is_none(atom))
        missing = not kept and bool(reading.atoms)
        result.append(replace(reading, atoms=kept, form="missing" if missing else reading.form))
    return result


def _none_is_a_name(readings: Sequence[Reading], at: At) -> bool:
    """Whether ``None`` is a class: by another spelling of it, or else by how the other names are written."""
    names = {atom for reading in readings for atom in reading.atoms if isinstance(atom, str)}
    if PYTHON_NONE not in names:
        return False
    others = [name for name in names if name != PYTHON_NONE]
    if any(normalize_name(name) == normalize_name(PYTHON_NONE) for name in others):
        return True
    capitalized = sum(name[:1].isupper() and not name.isupper() for name in others)
    if 2 * capitalized <= len(others):
        return False
    place = at(next(code for code, reading in enumerate(readings) if PYTHON_NONE in reading.atoms))
    raise UserError(
        f"{place}: the label 'None' may be a class, or no label: state the classes with data.labels, with None among "
        "them if it is one"
    )


def _typed(readings: Sequence[Reading]) -> list[Reading]:
    """With ids instead of texts where all texts are ids, and names instead of truth values."""
    texts = {atom for reading in readings for atom in reading.atoms if isinstance(atom, str)}
    ids = {text: index for text in texts if (index := as_id(text)) is not None}
    truths = {normalize_name(text) for text in texts} <= {"true", "false"}

    def typed(atom: Atom) -> Atom:
        if isinstance(atom, bool) or (truths and isinstance(atom, str)):
            return str(atom).casefold()
        return ids[atom] if isinstance(atom, str) and len(ids) == len(texts) else atom

    return [replace(reading, atoms=tuple(map(typed, reading.atoms))) for reading in readings]


def _check_kinds(readings: Sequence[Reading], at: At) -> None:
    """Refuses ids beside names."""
    first: dict[str, tuple[Atom, int]] = {}
    for code, reading in enumerate(readings):
        for atom in reading.atoms:
            first.setdefault("a name" if isinstance(atom, str) else "an id", (atom, code))
    if len(first) > 1:
        kinds = " and ".join(f"{kind} ({shown(str(atom))!r}, {at(code)})" for kind, (atom, code) in first.items())
        raise UserError(f"labels should be all ids or all names, not {kinds}; mend them, or set data.labels")


def _check_scores(readings: Sequence[Reading], lookup: Lookup | None, at: At) -> None:
    """Refuses decimal numbers, be they texts or not."""
    texts = {atom for reading in readings for atom in reading.atoms if isinstance(atom, str)}
    all_numbers = lookup is None and all(map(DECIMAL.fullmatch, texts))
    for code, reading in enumerate(readings):
        for atom in reading.atoms:
            if lookup and lookup.find(str(atom)) is not None:
                continue
            if isinstance(atom, float) and reading.form == "list":
                raise UserError(
                    f"{at(code)}: the label is a list of decimal numbers such as {atom:g}, as of probabilities or "
                    "votes; write the names or ids that count, such as the greatest, or those of at least 0.5"
                )
            if isinstance(atom, float) or (all_numbers and isinstance(atom, str) and as_id(atom) is None):
                raise UserError(
                    f"{at(code)}: the label {atom} is a decimal number, which is no class; write names or ids, such as "
                    "negative and positive for what is below and above a bound"
                )


def _numbers(reading: Reading) -> list[int] | None:
    """A list of ids, or of texts that are ids, as numbers."""
    numbers = [int(atom) if isinstance(atom, bool) else as_id(atom) for atom in reading.atoms]
    return None if None in numbers else numbers  # type: ignore[return-value]


def _places(readings: Sequence[Reading], at: At) -> int | None:
    """The length of the lists, if the column is one of lists of zeros and ones by place."""
    lists = [_numbers(reading) for reading in readings if reading.atoms]
    whole = [numbers for numbers in lists if numbers is not None]
    if not whole or len(whole) < len(lists) or any(one.form != "list" for one in readings if one.atoms):
        return None
    try:
        return len(whole[0]) if is_one_hot(whole) else None
    except LabelError as error:
        raise UserError(f"{at(next(code for code, one in enumerate(readings) if one.atoms))}: {error}") from None
