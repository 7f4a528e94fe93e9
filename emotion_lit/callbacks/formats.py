"""The formats of predictions: each writes parts, and joins them into one file."""

import csv
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]


class Format(Protocol):
    """Writes rows."""

    def write(self, rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
        """Writes rows as a part."""

    def join(self, parts: Sequence[Path], columns: Sequence[str], path: Path) -> None:
        """Writes the rows of all parts as one file."""


class Csv:
    """CSV with a heading; several labels are joined by ``|``, and other lists and objects are JSON."""

    def write(self, rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
        """Writes rows as a part, without a heading."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([_cell(column, row[column]) for column in columns] for row in rows)

    def join(self, parts: Sequence[Path], columns: Sequence[str], path: Path) -> None:
        """Writes the heading and the rows of all parts as one file."""
        heading = io.StringIO()
        csv.writer(heading, lineterminator="\n").writerow(columns)
        _concatenate(parts, path, heading.getvalue())


def _cell(column: str, value: Any) -> Any:
    if column == "labels":
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


class Jsonl:
    """An object a line."""

    def write(self, rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
        """Writes rows as a part."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json_line(row) for row in rows)

    def join(self, parts: Sequence[Path], columns: Sequence[str], path: Path) -> None:
        """Writes the rows of all parts as one file."""
        _concatenate(parts, path)


def json_line(row: Row) -> str:
    """A row as JSON.

    Args:
        row: The row.
    """
    return json.dumps(row, ensure_ascii=False, default=str) + "\n"


def _concatenate(parts: Sequence[Path], path: Path, heading: str = "") -> None:
    with path.open("wb") as whole:
        whole.write(heading.encode())
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 2**20)


class Parquet:
    """Parquet; columns of the input keep their type where all of their values have the same."""

    def write(self, rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
        """Writes rows as a part."""
        arrays = [_array(column, [row[column] for row in rows]) for column in columns]
        pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), path)

    def join(self, parts: Sequence[Path], columns: Sequence[str], path: Path) -> None:
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


def _array(column: str, values: list[Any]) -> pa.Array:
    if column in _FIXED:
        return pa.array(values if column != "id" else [str(value) for value in values], _FIXED[column])
    if column.startswith(("p_", "score_")):
        return pa.array(values, pa.float32())
    if column.startswith("label_"):
        return pa.array(values, pa.string())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types
        return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


_FIXED = {
    "id": pa.string(),
    "text": pa.string(),
    "label": pa.string(),
    "score": pa.float32(),
    "labels": pa.list_(pa.string()),
    "note": pa.string(),
}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _field(column: str, schemas: Sequence[pa.Schema]) -> pa.Field:
    """The type of a column in all parts; text where they differ."""
    try:
        fields = [pa.schema([schema.field(column)]) for schema in schemas]
        return pa.unify_schemas(fields, promote_options="permissive").field(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.field(column, pa.string())


def _as_type(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if values.type != kind and kind == pa.string():
        texts = [None if value is None else _as_text(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, kind)])
    return values.cast(kind)


FORMATS: dict[str, Format] = {".csv": Csv(), ".jsonl": Jsonl(), ".parquet": Parquet()}


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A path to write to, which takes its name only when it is complete.

    Args:
        path: The name.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    yield unfinished
    unfinished.replace(path)
