"""Blocks of rows, which every reader of a file yields."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from emotion_lit.data.formats.arrow_types import with_readable_times
from emotion_lit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# The metadata of a column of JSON strings, for values that have no common type in Arrow.
JSON_TEXT = {b"emotion_lit": b"json"}

Record = dict[str, Any]
# Called for a row that cannot be read, with its place, the reason, and its content.
OnError = Callable[[str, str, Any], None]


def stop(where: str, reason: str, content: Any) -> NoReturn:
    """Raises `UserError` for a row that cannot be read."""
    raise UserError(f"{where}{reason}")


def leave_out(where: str, reason: str, content: Any) -> None:
    """Leaves out a row that cannot be read; it is among the rejects of its block."""


@dataclass(frozen=True)
class Reject:
    """A row that cannot be read.

    Args:
        where: Its place, such as ``"reviews.csv, line 17"``.
        reason: Why it cannot be read.
        content: Its content, if that is known.
    """

    where: str
    reason: str
    content: Any


@dataclass(frozen=True)
class Places:
    """The places of rows in a file.

    Args:
        name: The name of the file.
        unit: The unit of the numbers, such as ``"line"``.
        numbers: The number of each row, ``[rows]``.
    """

    name: str
    unit: str
    numbers: Sequence[int]

    def __call__(self, row: int) -> str:
        """The place of a row by its index, such as ``"reviews.csv, line 17"``."""
        return f"{self.name}, {self.unit} {self.numbers[row]}"


@dataclass
class Block:
    """Consecutive rows of a file.

    Args:
        table: The requested columns, with their types; columns of CSV are strings. Values without a common type in
            Arrow, such as objects with different keys, are JSON strings, see `values`.
        names: The names of all columns that have been seen in the file.
        place: Returns the place of a row by its index in the table, such as ``"reviews.csv, line 17"``.
        rejects: The rows that cannot be read.
        before: For each reject, the number of rows of the table before it.
    """

    table: "pa.Table"
    names: tuple[str, ...]
    place: Callable[[int], str]
    rejects: list[Reject] = field(default_factory=list)
    before: list[int] = field(default_factory=list)

    def values(self, column: str) -> list[Any]:
        """The values of a column as Python objects."""
        return to_values(self.table, column)

    def part(self, start: int, rows: int) -> "Block":
        """A slice of the block, without its rejects."""
        return Block(self.table.slice(start, rows), self.names, lambda row: self.place(start + row))


class BlockBuilder:
    """Collects rows that are read one by one.

    Args:
        name: The name of the file.
        on_error: Called for each row that cannot be read; if it returns, the row is among the block's rejects.
        unit: The unit of the numbers of rows, such as ``"line"``.
    """

    def __init__(self, name: str, on_error: OnError, unit: str = "line") -> None:
        self._name, self._on_error, self._unit = name, on_error, unit
        self.records: list[Any] = []
        self._numbers: list[int] = []
        self._rejects: list[Reject] = []
        self._before: list[int] = []

    def __len__(self) -> int:
        return len(self.records) + len(self._rejects)

    def add(self, number: int, record: Any) -> None:
        """Adds a row."""
        self._numbers.append(number)
        self.records.append(record)

    def reject(self, number: int, reason: str, content: Any) -> None:
        """Adds a row that cannot be read, with its number, the reason, and its content."""
        where = f"{self._name}, {self._unit} {number}"
        self._on_error(where, reason, content)
        self._rejects.append(Reject(where, reason.strip(": "), content))
        self._before.append(len(self.records))

    def block(self, table: "pa.Table", names: tuple[str, ...]) -> Block:
        """Makes the block, from its table and the names of all columns of the file."""
        return Block(table, names, Places(self._name, self._unit, self._numbers), self._rejects, self._before)


def to_table(rows: Sequence[Record], names: Sequence[str], types: "pa.Schema | None" = None) -> "pa.Table":
    """Makes a table from records; a missing key is null.

    Args:
        rows: The records.
        names: The names of the columns.
        types: The types of earlier blocks, which are kept if the values have them or are all null.
    """
    import pyarrow as pa

    arrays, fields = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        usual = types.field(name).type if types is not None and name in types.names else None
        array = None if any(_holds_objects(value) for value in values) else _array(values, usual)
        if array is None:
            texts = [None if value is None else json.dumps(value) for value in values]
            arrays.append(pa.array(texts, pa.string()))
            fields.append(pa.field(name, pa.string(), metadata=JSON_TEXT))
        else:
            arrays.append(array)
            fields.append(pa.field(name, array.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)) if names else without_columns(len(rows))


def without_columns(rows: int) -> "pa.Table":
    """A table with this number of rows, and no columns."""
    import pyarrow as pa

    return pa.table({"": pa.nulls(rows)}).select([])


def is_json_text(field: "pa.Field") -> bool:
    """Whether the strings of a column are JSON, for values that have no common type in Arrow."""
    return bool((field.metadata or {}).get(b"emotion_lit") == b"json")


def to_values(table: "pa.Table", column: str) -> list[Any]:
    """The values of a column as Python objects; values that Python cannot represent, such as late dates, as text.

    Args:
        table: The table of a block, or the concatenated tables of several blocks.
        column: The name of the column.
    """
    found = table.column(column)
    if is_json_text(table.schema.field(column)):
        return [None if text is None else json.loads(text) for text in found.to_pylist()]
    try:
        return list(found.to_pylist())
    except (ValueError, OverflowError):
        return list(found.cast(with_readable_times(found.type)).to_pylist())


def _array(values: list[Any], usual: "pa.DataType | None") -> "pa.Array | None":
    """The values as an Arrow array, if they have a common type."""
    import pyarrow as pa

    try:
        found = pa.array(values)
        if usual is None or found.type == usual:
            return found
        if pa.types.is_null(found.type):
            return found.cast(usual)
        if pa.types.is_floating(usual) and pa.types.is_integer(found.type):
            return pa.array([None if value is None else float(value) for value in values], usual)
    except (pa.ArrowException, OverflowError, UnicodeError):  # mixed types, huge numbers, halves of surrogate pairs
        return None
    return found


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_objects(one) for one in value))
