"""The header of a CSV file: whether the first row is one, and the names of the columns."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from emotion_lit.errors import UserError

# Usual names of columns; a first row with one of them is a header.
USUAL = frozenset(
    word
    for words in (
        "text texts sentence sentences content contents comment comments tweet tweets utterance review message body",
        "label labels emotion emotions sentiment class classes category target annotation annotations id ids source",
        "date user author name lang language split score rating number index row key value type topic description",
        "title document",
    )
    for word in words.split()
)
# A field with at least this number of words is a sentence.
SENTENCE = 5


@dataclass(frozen=True)
class Header:
    """The names of a table's columns.

    Args:
        names: The names.
        rows: The number of rows before the data.
        notes: Remarks for the user.
    """

    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


def find_header(rows: list[list[str]], setting: bool | None, name: str) -> Header:
    """Finds the names of the columns.

    Args:
        rows: The first rows.
        setting: Whether the first row is the header, if that is set.
        name: The name of the file, for messages.

    Raises:
        UserError: A name occurs twice, or it is unclear whether the first row is a header.
    """
    if not rows:
        raise UserError(f"{name}: the first row cannot be read; perhaps a quotation mark is not closed")
    widths = Counter(map(len, rows[1:] or rows))
    width = widths.most_common(1)[0][0]
    found = has_header(rows) if setting is None else setting
    if found is None:
        raise UserError(
            f"{name}: the first line may be column names or data ({', '.join(rows[0])[:80]!r}); set data.header "
            "to true or false"
        )
    if not found:
        names = tuple(map(numbered_name, range(1, width + 1)))
        note = f"no header, as the first line looks like data: columns {names[0]} to {names[-1]}"
        return Header(names, 0, () if setting is False else (note,))
    names, notes = column_titles(rows, width)
    twice = next((one for one, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise UserError(f"{name}: the column {twice!r} occurs twice in the header; rename one of them")
    return Header(names, 1, notes)


def has_header(rows: list[list[str]]) -> bool | None:
    """Whether the first row has the names of the columns; None if that is unclear."""
    if not rows:
        return True
    first = [field.strip() for field in rows[0]]
    if is_named(first) or first == [str(number) for number in range(len(first))]:
        return True
    if any(is_number(field) for field in first):
        return False
    rest = [row for row in rows[1:] if row != rows[0]]
    for place, field in enumerate(first):
        if field and any(place < len(row) and row[place].strip() == field for row in rest):
            return False
    for place, field in enumerate(first):
        if len(field.split()) >= SENTENCE and (
            not rest or sum(_is_sentence(row, place) for row in rest) > len(rest) / 2
        ):
            return None
    return True


def are_numbered(names: Iterable[str]) -> bool:
    """Whether columns are named by their numbers, because their table has no header."""
    return all(name == numbered_name(place) for place, name in enumerate(names, 1))


def numbered_name(place: int) -> str:
    """The name of a column without a name, by its number from one."""
    return f"column_{place}"


def is_named(row: list[str]) -> bool:
    """Whether a row has one of the usual names of columns."""
    return any(field.strip().casefold() in USUAL for field in row)


def column_titles(rows: list[list[str]], width: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns, and remarks for the user.

    Args:
        rows: The header and the first rows.
        width: The most common number of fields in the rows after the header.
    """
    titles = [title.strip().strip("\ufeff").strip() for title in rows[0]]
    rest = [row for row in rows[1:] if len(row) == width]
    notes: tuple[str, ...] = ()
    if width == len(titles) - 1 and rest and not titles[-1]:
        titles.pop()
    elif width == len(titles) + 1 and rest and len(rest) == len(rows) - 1:
        if all(not row[-1].strip() for row in rest):
            titles.append("")
        elif _is_index([row[0] for row in rest]):
            titles.insert(0, "" if "index" in titles else "index")
            notes = ("the first column has no name in the header",)
    return tuple(title or numbered_name(place) for place, title in enumerate(titles, 1)), notes


def is_number(field: str) -> bool:
    """Whether a field is a number."""
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return field.casefold() not in ("nan", "inf", "infinity")


def _is_sentence(row: list[str], place: int) -> bool:
    return place < len(row) and len(row[place].split()) >= SENTENCE


def _is_index(values: list[str]) -> bool:
    """Whether values are an index, as R and pandas write it: numbers, or distinct words."""
    if all(value.isdigit() for value in values):
        return True
    return len(values) >= SENTENCE and len(set(values)) == len(values) and not any(" " in value for value in values)
