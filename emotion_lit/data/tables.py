"""Tables out of files of any kind, block by block, each row with the place it came from."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_lit.data import records
from emotion_lit.data.records import OnError, Record, stop

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of a block.
BLOCK_ROWS = 4096
# Marks a column of strings that are JSON, for values that Arrow has no one type for.
JSON_TEXT = {b"emotion_lit": b"json"}


@dataclass(frozen=True)
class TableFormat:
    """How a file of text is divided into rows and columns; what is None is found from the file's beginning.

    Args:
        separator: What stands between two fields.
        encoding: How characters are written as bytes.
        header: Whether the first line names the columns.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None


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


def to_values(table: "pa.Table", column: str) -> list[Any]:
    """The values of a column of a block's table as Python's own; what Python cannot hold, such as late dates, as text.

    Args:
        table: The table, or several blocks' tables one after the other.
        column: The name of the column.
    """
    import pyarrow as pa

    found = table.column(column)
    if (table.schema.field(column).metadata or {}).get(b"emotion_lit") == b"json":
        return [None if text is None else json.loads(text) for text in found.to_pylist()]
    try:
        return list(found.to_pylist())
    except (ValueError, OverflowError):
        return list(found.cast(pa.string()).to_pylist())


def read_blocks(
    path: str,
    columns: Collection[str] | None = None,
    text_format: TableFormat = TableFormat(),
    on_error: OnError = stop,
    text_column: str = "text",
) -> Iterator[Block]:
    """Yields the rows of a file in blocks.

    Args:
        path: The file, or ``-`` for standard input.
        columns: The columns that are needed; by default all. One that the file has not is not in the table.
        text_format: How a file of text is divided, where that is not to be found from it.
        on_error: Called for each row that cannot be read; by default it is an error. Where it returns, the row is
            among the block's rejects.
        text_column: The name of the column that the lines of a ``.txt`` file come in.

    Raises:
        UserError: The file is missing, of another kind, or has a row that cannot be read.
    """
    if path != "-" and records.kind(Path(path)) == ".parquet":
        yield from _parquet_blocks(Path(path), columns)
        return
    rejects: list[Reject] = []
    before: list[int] = []
    places: list[str] = []
    rows: list[Record] = []
    names = dict.fromkeys(column_names(path, text_format))

    def reject(where: str, reason: str, content: Any) -> None:
        on_error(where, reason, content)
        rejects.append(Reject(where, reason.strip(": "), content))
        before.append(len(rows))

    def block() -> Block:
        found = tuple(names)
        kept = [name for name in found if columns is None or name in columns]
        made = Block(to_table(rows, kept), found, places.copy().__getitem__, rejects.copy(), before.copy())
        for one in (rejects, before, places, rows):
            one.clear()
        return made

    for where, record in records.read_records(path, text_column, reject, columns):
        names.update(dict.fromkeys(record))
        places.append(where)
        rows.append(record)
        if len(rows) >= BLOCK_ROWS:
            yield block()
    if rows or rejects:
        yield block()


def _parquet_blocks(file: Path, columns: Collection[str] | None) -> Iterator[Block]:
    import pyarrow as pa

    names, batches = records.parquet_batches(file, columns)
    start = 0
    for batch in batches:
        yield Block(pa.Table.from_batches([batch]), names, RowPlaces(file.name, start))
        start += len(batch)


@dataclass(frozen=True)
class RowPlaces:
    """The places of rows that follow each other.

    Args:
        name: The name of the file.
        start: How many rows come before.
    """

    name: str
    start: int

    def __call__(self, row: int) -> str:
        """The place of a row of the block."""
        return f"{self.name}, row {self.start + row + 1}"


def column_names(path: str, text_format: TableFormat = TableFormat()) -> tuple[str, ...]:
    """The names of a file's columns, without its rows; none for standard input.

    Args:
        path: The file.
        text_format: How a file of text is divided, where that is not to be found from it.
    """
    if path == "-":
        return ()
    if found := records.column_names(path):
        return tuple(found)
    for _, record in records.read_records(path, on_error=lambda *_: None):
        return tuple(record)
    return ()


def to_table(rows: Sequence[Record], names: Sequence[str]) -> "pa.Table":
    """A table of records; a key that one leaves out is null.

    Args:
        rows: The records.
        names: The columns.
    """
    import pyarrow as pa

    arrays, fields = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        array = None
        if not any(_holds_objects(value) for value in values):
            try:
                array = pa.array(values)
            except (pa.ArrowException, OverflowError, UnicodeError):  # mixed types, huge numbers, half characters
                array = None
        if array is None:
            texts = [None if value is None else json.dumps(value) for value in values]
            arrays.append(pa.array(texts, pa.string()))
            fields.append(pa.field(name, pa.string(), metadata=JSON_TEXT))
        else:
            arrays.append(array)
            fields.append(pa.field(name, array.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_objects(one) for one in value))
