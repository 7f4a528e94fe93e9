"""The formats of predictions: each writes parts, and joins them into one file."""

import csv
import functools
import io
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from emotion_lit.inference.plain_values import plain, to_json

# What spreadsheets run: texts that begin with one of these signs, those of East Asian width too, or with blanks before.
FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

Row = dict[str, Any]
# The names of the columns in order, with their types; None for a column of the input, which keeps what it has.
Columns = Mapping[str, pa.DataType | None]
# Columns of the input as they came.
Kept = Mapping[str, pa.ChunkedArray]
NONE_KEPT: Kept = {}

TEXT, SCORE, SEVERAL = pa.string(), pa.float32(), pa.list_(pa.string())


class Format(Protocol):
    """Writes rows."""

    def write(self, rows: Sequence[Row], columns: Columns, path: Path, kept: Kept = NONE_KEPT) -> None:
        """Writes rows as a part; of columns of the input that came in Arrow, formats with types write those."""

    def join(self, parts: Sequence[Path], columns: Columns, path: Path) -> None:
        """Writes the rows of all parts as one file."""


class Csv:
    """CSV with a heading; several labels are joined by ``|``, or JSON where one has that; other lists are JSON.

    Args:
        escape: Whether to put a ``'`` before texts that a spreadsheet would run as a formula.
    """

    def __init__(self, escape: bool = False) -> None:
        self._finished = escape_formula if escape else _as_it_is

    def write(self, rows: Sequence[Row], columns: Columns, path: Path, kept: Kept = NONE_KEPT) -> None:
        """Writes rows as a part, without a heading."""
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(
                _line([self._finished(_cell(kind, row[column])) for column, kind in columns.items()]) for row in rows
            )

    def join(self, parts: Sequence[Path], columns: Columns, path: Path) -> None:
        """Writes the heading and the rows of all parts as one file."""
        concatenate(parts, path, _line(map(self._finished, columns)))


def escape_formula(cell: Any) -> Any:
    """A cell of which a spreadsheet makes no formula; the ``'`` that it gets has to be taken off again.

    A text that has one before such a sign gets another, so that taking one off gives back every text.

    Args:
        cell: The cell; numbers stay, also those in texts.
    """
    if not isinstance(cell, str) or not FORMULA.match(cell) or NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def _as_it_is(cell: Any) -> Any:
    return cell


def _line(cells: Iterable[Any]) -> str:
    """A line of CSV. The csv module quotes a carriage return only where its own lines end in one."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(kind: pa.DataType | None, value: Any) -> Any:
    if kind == SEVERAL:
        alone = not any("|" in label or label.startswith("[") for label in value)
        return "|".join(value) if alone else to_json(value)
    if isinstance(value, list | dict):
        return to_json(value)
    return None if value != value else value


class Jsonl:
    """An object a line."""

    def write(self, rows: Sequence[Row], columns: Columns, path: Path, kept: Kept = NONE_KEPT) -> None:
        """Writes rows as a part."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json_line(row) for row in rows)

    def join(self, parts: Sequence[Path], columns: Columns, path: Path) -> None:
        """Writes the rows of all parts as one file."""
        concatenate(parts, path)


def json_line(row: Row) -> str:
    """A row as JSON, which has no NaN and no infinity; they are null.

    Args:
        row: The row, of plain values.
    """
    return to_json(row) + "\n"


def concatenate(parts: Sequence[Path], path: Path, heading: str = "") -> None:
    """Writes a heading and files of text, one after the other.

    Args:
        parts: The files.
        path: Where to.
        heading: What stands before them.
    """
    with path.open("wb") as whole:
        whole.write(heading.encode())
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 2**20)


class Parquet:
    """Parquet; columns of the input keep their type where all of their values have the same, and Parquet has it."""

    def write(self, rows: Sequence[Row], columns: Columns, path: Path, kept: Kept = NONE_KEPT) -> None:
        """Writes rows as a part."""
        arrays = [
            kept[column]
            if column in kept and _can_hold(kept[column].type)
            else _array(kind, [row[column] for row in rows])
            for column, kind in columns.items()
        ]
        pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), path)

    def join(self, parts: Sequence[Path], columns: Columns, path: Path) -> None:
        """Writes the rows of all parts as one file, a row group each."""
        if not parts:
            self.write([], columns, path)
            return
        schemas = [pq.read_schema(part) for part in parts]
        schema = pa.schema([_field(column, schemas) for column in columns])
        with pq.ParquetWriter(path, schema) as writer:
            for part in parts:
                table = pq.read_table(part)
                cast = [_as_type(table[column], schema.field(column).type) for column in columns]
                writer.write_table(pa.table(cast, schema=schema))


@functools.cache
def _can_hold(kind: pa.DataType) -> bool:
    """Whether Parquet has a type."""
    try:
        pq.write_table(pa.table({"": pa.array([], kind)}), io.BytesIO())
    except (pa.ArrowException, NotImplementedError):
        return False
    return True


def _array(kind: pa.DataType | None, values: list[Any]) -> pa.Array:
    if kind == TEXT:
        return _texts(values)
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of the input, with values of several types
        return _texts(values)


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else _as_text(value) for value in values], TEXT)


def _as_text(value: Any) -> str:
    found = plain(value)
    return found if isinstance(found, str) else to_json(found)


def _field(column: str, schemas: Sequence[pa.Schema]) -> pa.Field:
    """The type of a column in all parts; text where they differ."""
    try:
        fields = [pa.schema([schema.field(column)]) for schema in schemas]
        return pa.unify_schemas(fields, promote_options="permissive").field(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.field(column, TEXT)


def _as_type(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if values.type != kind and kind == TEXT:
        return pa.chunked_array([_texts(values.to_pylist())])
    return values.cast(kind)


FORMATS: dict[str, Format] = {".csv": Csv(), ".jsonl": Jsonl(), ".parquet": Parquet()}
