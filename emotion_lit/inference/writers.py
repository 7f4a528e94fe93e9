"""The formats of predictions: each writes tables as parts, and joins the parts into one file."""

import functools
import io
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emotion_lit.data.formats.blocks import is_json_text, to_values
from emotion_lit.data.plain_values import plain, to_json
from emotion_lit.inference.column_texts import LINES, csv_cell, csv_texts, escaped_csv_cell, json_texts
from emotion_lit.inference.output_columns import ID, is_predicted


class Format(Protocol):
    """A format of files."""

    def write(self, table: pa.Table, path: Path) -> None:
        """Writes a table as a part."""

    def join(self, parts: Sequence[Path], empty: pa.Table, path: Path) -> None:
        """Writes the rows of all parts as one file; ``empty`` is a table with the same columns and no rows."""


class Csv:
    """CSV with a header; several labels are joined by ``|``, or are JSON if one has that; other lists are JSON.

    Args:
        escape: Whether to put a ``'`` before texts that a spreadsheet would run as a formula.
    """

    def __init__(self, escape: bool = False) -> None:
        self._escape = escape

    def write(self, table: pa.Table, path: Path) -> None:
        """Writes a table as a part, without a header."""
        pieces: list[str | pa.Array] = []
        for name in table.column_names:
            pieces += [","] if pieces else []
            pieces.append(csv_texts(table, name, self._escape))
        _write(_line(*pieces, "\n"), path)

    def join(self, parts: Sequence[Path], empty: pa.Table, path: Path) -> None:
        """Writes the header and the rows of all parts as one file."""
        cell = escaped_csv_cell if self._escape else csv_cell
        concatenate(parts, path, csv_header(empty.column_names, cell))


def csv_header(columns: Sequence[str], cell: Callable[[str], str]) -> str:
    """The first line of CSV.

    Args:
        columns: The names of the columns.
        cell: Writes a text as a cell.
    """
    return ",".join(map(cell, columns)) + "\n"


class Jsonl:
    """JSON lines: an object for each row."""

    def write(self, table: pa.Table, path: Path) -> None:
        """Writes a table as a part."""
        _write(json_lines(table), path)

    def join(self, parts: Sequence[Path], empty: pa.Table, path: Path) -> None:
        """Writes the rows of all parts as one file."""
        concatenate(parts, path)


def json_lines(table: pa.Table) -> pa.Array:
    """The rows as JSON objects, each with the end of a line.

    Args:
        table: The table.

    Returns:
        Strings, ``[rows]``.
    """
    pieces: list[str | pa.Array] = []
    for name in table.column_names:
        pieces += [f"{', ' if pieces else '{'}{to_json(name)}: ", json_texts(table, name)]
    return _line(*pieces, "}\n")


class Parquet:
    """Parquet. Columns of the input keep their types, if all values have the same one and Parquet has it."""

    def write(self, table: pa.Table, path: Path) -> None:
        """Writes a table as a part."""
        pq.write_table(parquet_table(table), path)

    def join(self, parts: Sequence[Path], empty: pa.Table, path: Path) -> None:
        """Writes the rows of all parts as one file, a row group for each."""
        if not parts:
            self.write(empty, path)
            return
        tables = (pq.read_table(part) for part in parts)
        write_row_groups([pq.read_schema(part) for part in parts], tables, empty.column_names, path)


def parquet_table(table: pa.Table) -> pa.Table:
    """A table with the types that it has in Parquet.

    Args:
        table: The table, as `TableBuilder` builds it.
    """
    return pa.table({name: _parquet_column(table, name) for name in table.column_names})


def write_row_groups(
    schemas: Sequence[pa.Schema], tables: Iterable[pa.Table], columns: Sequence[str], path: Path
) -> None:
    """Writes tables as a file of Parquet, a row group for each.

    Args:
        schemas: The types of each table; a column gets a type that holds the values of all of them.
        tables: The tables.
        columns: The columns of the file.
        path: The file to write.
    """
    schema = pa.schema([common_field(column, schemas) for column in columns])
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            cast = [as_type(table[column], schema.field(column).type) for column in columns]
            writer.write_table(pa.table(cast, schema=schema))


FORMATS: dict[str, Format] = {".csv": Csv(), ".jsonl": Jsonl(), ".parquet": Parquet()}


def concatenate(parts: Sequence[Path], path: Path, header: str = "") -> None:
    """Writes a header and text files, one after the other.

    Args:
        parts: The files.
        path: The file to write.
        header: What comes before them.
    """
    with path.open("wb") as whole:
        whole.write(header.encode())
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 2**20)


def _line(*pieces: str | pa.Array) -> pa.Array:
    """Strings joined row by row; a single string is part of each row."""
    typed = [pa.scalar(piece, LINES) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*typed, pa.scalar("", LINES))


def to_bytes(lines: pa.Array) -> memoryview:
    """Strings one after the other, as UTF-8.

    Args:
        lines: The strings, ``[rows]``.
    """
    _, offsets, data = lines.buffers()
    if not len(lines) or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _write(lines: pa.Array, path: Path) -> None:
    with path.open("wb") as file:
        file.write(to_bytes(lines))


@functools.cache
def _can_hold(kind: pa.DataType) -> bool:
    """Whether Parquet has a type."""
    try:
        pq.write_table(pa.table({"": pa.array([], kind)}), io.BytesIO())
    except (pa.ArrowException, NotImplementedError):
        return False
    return True


def _parquet_column(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """A column in its type in Parquet: ids are strings, and probabilities single precision."""
    field, column = table.schema.field(name), table.column(name)
    if is_predicted(field):
        return column.cast(pa.float32()) if pa.types.is_floating(field.type) else column
    if not is_json_text(field):
        if name == ID and (pa.types.is_integer(field.type) or pa.types.is_large_string(field.type)):
            return column.cast(pa.string())
        if field.type == pa.string() or (name != ID and _can_hold(field.type)):
            return column
    values = plain(to_values(table, name))
    return _strings(values) if name == ID else _array(values)


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # values of several types
        return _strings(values)


def _strings(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else _string(value) for value in values], pa.string())


def _string(value: Any) -> str:
    found = plain(value)
    return found if isinstance(found, str) else to_json(found)


def common_field(column: str, schemas: Sequence[pa.Schema]) -> pa.Field:
    """The type of a column that holds the values of several tables; a string if they differ.

    Args:
        column: The column.
        schemas: The types of the tables.
    """
    try:
        fields = [pa.schema([schema.field(column)]) for schema in schemas]
        return pa.unify_schemas(fields, promote_options="permissive").field(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.field(column, pa.string())


def as_type(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as the type of `common_field`.

    Args:
        values: The column.
        kind: The type.
    """
    if values.type != kind and kind == pa.string():
        return pa.chunked_array([_strings(values.to_pylist())])
    return values.cast(kind)
