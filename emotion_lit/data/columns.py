"""The columns of texts and labels: set, or found by their usual names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from emotion_lit.data.formats.csv_header import are_numbered
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.names import listed, shown

# Names in public datasets, normalized. The first name is the default, and wins over the others.
TEXT_NAMES = (
    *("text", "texts", "sentence", "sentences", "content", "contents", "tweet", "tweets", "tweet_text"),
    *("full_text", "utterance", "utterances", "review", "reviews", "review_text", "comment", "comments"),
    *("comment_text", "message", "messages", "post", "posts", "body", "document", "statement", "quote", "headline"),
)
LABEL_NAMES = (
    *("labels", "label", "emotion", "emotions", "emotion_label", "sentiment", "sentiments", "class", "classes"),
    *("target", "targets", "category", "categories", "cats", "choices", "choice", "annotations", "polarity"),
    *("feeling", "feelings", "mood"),
)
# Suffixes of a column with the names of the ids in another column.
NAME_SUFFIXES = ("_str", "_text", "_name", "_names")
# Columns in an export of Label Studio, which contain the text and the choices.
TASK_TEXT, TASK_LABELS = "data", "annotations"


@dataclass(frozen=True)
class ColumnSettings:
    """The columns that are set; the others are found by name.

    Args:
        text: The column of texts.
        label: The column of labels.
        one_hot: Columns of 0 and 1 for each class, instead of the column of labels; ``first..last`` means all columns
            from first to last.
    """

    text: str | None = None
    label: str | None = None
    one_hot: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Columns:
    """The columns that are read.

    Args:
        text: The column of texts.
        label: The column of labels; None with one-hot columns.
        one_hot: The columns of 0 and 1 for each class.
        names_of_ids: The column with the names of the ids in `label`.
        notes: Remarks for the user about columns that were found by name.
    """

    text: str
    label: str | None
    one_hot: tuple[str, ...] = ()
    names_of_ids: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of all these columns."""
        return tuple(name for name in (self.text, self.label, *self.one_hot, self.names_of_ids) if name is not None)


def find_columns(names: Collection[str], settings: ColumnSettings, where: str) -> Columns:
    """Finds the columns of a labeled table.

    Args:
        names: The names of its columns.
        settings: The columns that are set.
        where: The table, for messages.

    Raises:
        UserError: A column is missing, or several columns have usual names.
    """
    if settings.label is not None and settings.one_hot:
        raise UserError("data.label_column and data.label_columns are both set; leave one of them out")
    text, note = find_text_column(names, settings.text, where)
    notes = [note] if note else []
    if settings.one_hot:
        one_hot = tuple(column for name in settings.one_hot for column in _ranged(names, name, where))
        twice = sorted({name for name in one_hot if one_hot.count(name) > 1} | ({text} & set(one_hot)))
        if twice:
            raise UserError(f"{where}: the column {shown(twice[0])!r} is used twice; correct data.label_columns")
        return Columns(text, None, one_hot, None, tuple(notes))
    if settings.label is None:
        label = _usual([name for name in names if name != text], LABEL_NAMES, "label", where)
        others = [name for name in names if _normalized(name) in LABEL_NAMES and name not in (label, text)]
        if label != LABEL_NAMES[0]:
            notes.append(f"the labels are read from the column {shown(label)!r}")
        elif others:
            notes.append(f"the labels are read from the column {label!r}, not from {listed(others)}")
    else:
        label = _the_one(names, settings.label, "data.label_column", where)
        if label == text:
            raise UserError(f"{where}: the column {shown(text)!r} cannot be both text and label; set data.text_column")
    names_of_ids = next(
        (label + ending for ending in NAME_SUFFIXES if label + ending in names and label + ending != text), None
    )
    return Columns(text, label, (), names_of_ids, tuple(notes))


def find_text_column(names: Collection[str], text_column: str | None, where: str) -> tuple[str, str]:
    """Finds the column of texts.

    Args:
        names: The names of the table's columns.
        text_column: The column that is set; None finds it by name.
        where: The table, for messages.

    Returns:
        The name of the column, and a remark for the user unless it is set or the default.

    Raises:
        UserError: The column is missing, or several columns have usual names.
    """
    if text_column is not None:
        return _the_one(names, text_column, "data.text_column", where), ""
    if TASK_LABELS in names and TASK_TEXT in names and not any(_normalized(name) in TEXT_NAMES for name in names):
        return TASK_TEXT, f"the texts are read from objects in the column {TASK_TEXT!r}"
    text = _usual(names, TEXT_NAMES, "text", where)
    return text, "" if text == TEXT_NAMES[0] else f"the texts are read from the column {shown(text)!r}"


def _normalized(name: str) -> str:
    return "_".join(name.casefold().replace("-", " ").split())


def _the_one(names: Collection[str], name: str, key: str, where: str) -> str:
    """The column with a name, or with the only name that differs just in case and spaces."""
    if name in names:
        return name
    near = [other for other in names if _normalized(other) == _normalized(name)]
    if len(near) != 1:
        raise UserError(f"{where}: {unknown('column', name, names)} Name it with {key}.")
    return near[0]


def _ranged(names: Collection[str], name: str, where: str) -> list[str]:
    """The column with a name, or the range of columns ``first..last`` in the order of the table."""
    first, dots, last = name.partition("..")
    if not dots or name in names:
        return [_the_one(names, name, "data.label_columns", where)]
    order = list(names)
    start, end = (order.index(_the_one(names, one.strip(), "data.label_columns", where)) for one in (first, last))
    if end < start:
        raise UserError(
            f"{where}: the column {shown(last)!r} comes before {shown(first)!r}; correct data.label_columns"
        )
    return order[start : end + 1]


def _usual(names: Collection[str], usual: Sequence[str], what: str, where: str) -> str:
    """The only column with a usual name; the default name wins."""
    if usual[0] in names:
        return usual[0]
    found = [name for name in names if _normalized(name) == usual[0]]
    found = found or [name for name in names if _normalized(name) in usual]
    if len(found) == 1:
        return found[0]
    key = f"data.{what}_column"
    if found:
        raise UserError(
            f"{where}: the {what}s may be in the column {' or '.join(map(repr, map(shown, found)))}; choose one with "
            f"--{key}={shown(found[0])}"
        )
    if are_numbered(names):
        raise UserError(
            f"{where} has no header, so its columns are {listed(names)}; name those of the texts and the labels, for "
            "example --data.text_column=column_1 --data.label_column=column_2, or set --data.header=true if the first "
            "line is a header"
        )
    ones = ", or columns of 0 and 1 for each class with data.label_columns" if what == "label" else ""
    raise UserError(f"{where}: {unknown('column', usual[0], names)} Name it with {key}{ones}.")
