"""Blocks of rows, as every reader of a file gives them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from emotion_lit.data.formats.arrow_types import with_readable_times
from emotion_lit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# Marks a column of strings that are JSON, for values that Arrow has no one type for.
JSON_TEXT = {b"emotion_lit": b"json"}

Record = dict[str, Any]
# Called with the place of a row that cannot be read, the reason, and what stands there.
OnError = Callable[[str, str, Any], None]


def stop(where: str, reason: str, content: Any) -> NoReturn:
    """Ends the reading at a row that cannot be read.

    Args:
        where: Its place.
        reason: What is wrong with it.
        content: What stands there.

    Raises:
        UserError: Always.
    """
    raise UserError(f"{where}{reason}")


@dataclass(frozen=True)
class Reject:
    """A row that cannot be read.

    Args:
        where: Its place.
        reason: What is wrong with it.
        content: What stands there, if that is known.
    """

    where: str
    reason: str
    content: Any


@dataclass(frozen=True)
class Places:
    """The places of some rows of a file.

    Args:
        name: The name of the file.
        unit: What is counted, such as ``"line"``.
        numbers: The number of each row.
    """

    name: str
    unit: str
    numbers: Sequence[int]

    def __call__(self, row: int) -> str:
        """The place of a row, such as ``"reviews.csv, line 17"``.

        Args:
            row: Its number among these.
        """
        return f"{self.name}, {self.unit} {self.numbers[row]}"


@dataclass
class Block:
    """Some rows of a file, in its order.

    Args:
        table: The needed columns that the file has, with their types; those of CSV are strings. Values that have no
            one type in Arrow, such as objects with other keys in each row, come as strings of JSON: see `values`.
        names: The names of all columns of the file, as far as they are known.
        place: The place of a row of the table, such as ``"reviews.csv, line 17"``.
        rejects: The rows among them that cannot be read.
        before: For each of these, how many rows of the table come before it.
    """

    table: "pa.Table"
    names: tuple[str, ...]
    place: Callable[[int], str]
    rejects: list[Reject] = field(default_factory=list)
    before: list[int] = field(default_factory=list)

    def values(self, column: str) -> list[Any]:
        """The values of a column as Python's own.

        Args:
            column: Its name.
        """
        return to_values(self.table, column)

    def part(self, start: int, rows: int) -> "Block":
        """Some rows of the block, without its rejects.

        Args:
            start: How many to leave out.
            rows: How many to take.
        """
        return Block(self.table.slice(start, rows), self.names, lambda row: self.place(start + row))


class Rows:
    """Rows that are read one by one, and become a block.

    Args:
        name: The name of the file.
        on_error: Called for each row that cannot be read; where it returns, the row is among the block's rejects.
        unit: What is counted, such as ``"line"``.
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
        """Adds a row.

        Args:
            number: Its number.
            record: What it has.
        """
        self._numbers.append(number)
        self.records.append(record)

    def reject(self, number: int, reason: str, content: Any) -> None:
        """Adds a row that cannot be read.

        Args:
            number: Its number.
            reason: What is wrong with it.
            content: What stands there.
        """
        where = f"{self._name}, {self._unit} {number}"
        self._on_error(where, reason, content)
        self._rejects.append(Reject(where, reason.strip(": "), content))
        self._before.append(len(self.records))

    def block(self, table: "pa.Table", names: tuple[str, ...]) -> Block:
        """The block.

        Args:
            table: The rows.
            names: The names of all columns of the file.
        """
        return Block(table, names, Places(self._name, self._unit, self._numbers), self._rejects, self._before)


def to_table(rows: Sequence[Record], names: Sequence[str], types: "pa.Schema | None" = None) -> "pa.Table":
    """A table of records; a key that one leaves out is null.

    Args:
        rows: The records.
        names: The columns.
        types: Types that are taken where the values have them, or are all null.
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
    """A table of so many rows and no columns.

    Args:
        rows: How many.
    """
    import pyarrow as pa

    return pa.table({"": pa.nulls(rows)}).select([])


def is_json_text(field: "pa.Field") -> bool:
    """Whether the strings of a column are JSON, for values that Arrow has no one type for.

    Args:
        field: The column.
    """
    return bool((field.metadata or {}).get(b"emotion_lit") == b"json")


def to_values(table: "pa.Table", column: str) -> list[Any]:
    """The values of a column of a block's table as Python's own; what Python cannot hold, such as late dates, as text.

    Args:
        table: The table, or several blocks' tables one after the other.
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
    """The values in Arrow, if they have one type there."""
    import pyarrow as pa

    try:
        found = pa.array(values)
        if usual is None or found.type == usual:
            return found
        if pa.types.is_null(found.type):
            return found.cast(usual)
        if pa.types.is_floating(usual) and pa.types.is_integer(found.type):
            return pa.array([None if value is None else float(value) for value in values], usual)
    except (pa.ArrowException, OverflowError, UnicodeError):  # mixed types, huge numbers, half characters
        return None
    return found


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_objects(one) for one in value))
