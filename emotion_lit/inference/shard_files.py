"""The files of shards: what a Parquet file forgets of its windows, and how files become one again."""

import base64
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from emotion_lit.inference.column_texts import csv_cell, escaped_csv_cell
from emotion_lit.inference.engines import TORCH
from emotion_lit.inference.output_state import State
from emotion_lit.inference.part_files import file_sha256
from emotion_lit.inference.shard import Shard, ShardContent
from emotion_lit.inference.writers import csv_header, write_row_groups

ShardFile = tuple[Path, ShardContent]


def describe(
    shard: Shard, state: State, columns: list[str], parts: Mapping[int, Path], joined: Path, rejects: Path
) -> ShardContent:
    """What `join` has to know of a shard.

    Args:
        shard: The shard.
        state: Its progress, which is at its end.
        columns: The names of its columns.
        parts: The file of each window, by its number.
        joined: The file that they are joined to.
        rejects: The file of the rows that could not be read.
    """
    return ShardContent(
        shard=(shard.number, shard.count),
        made_from=state.made_from,
        engine=state.engine or TORCH,
        columns=columns,
        parts={number: asdict(part) for number, part in state.done.items()},
        sha256=file_sha256(joined),
        rejects_sha256=file_sha256(rejects) if state.counts().rejects else "",
        schemas=_part_schemas(parts, joined) if next(iter(parts.values()), joined).suffix == ".parquet" else {},
    )


def _part_schemas(parts: Mapping[int, Path], joined: Path) -> dict[int, str]:
    """The types that the columns of a window have, where they are not those of the file that the windows are joined to.

    Values of another type are written otherwise as a string, and another shard may make a column one of strings.

    They are Arrow's IPC in base64, by the number of the window.
    """
    schemas, common = {number: pq.read_schema(part) for number, part in parts.items()}, pq.read_schema(joined)
    return {
        number: base64.b64encode(schema.serialize()).decode()
        for number, schema in schemas.items()
        if not schema.equals(common)
    }


def join_files(shards: Sequence[ShardFile], path: Path) -> None:
    """Writes the rows of all shards as the file that one command would have written, byte for byte.

    Args:
        shards: The file of each shard and its content, in order.
        path: The file to write.
    """
    first, columns = shards[0][0], shards[0][1].columns
    if not any(one.parts for _, one in shards):  # of an empty input, each shard is the whole output
        shutil.copyfile(first, path)
    elif first.suffix == ".parquet":
        schemas = [schema for shard in shards for schema in _schemas(*shard)]
        write_row_groups(schemas, (table for shard in shards for table in _tables(*shard)), columns, path)
    else:
        _join_text([file for file, _ in shards], _header(first, columns) if first.suffix == ".csv" else b"", path)


def _join_text(files: Sequence[Path], header: bytes, path: Path) -> None:
    with path.open("wb") as whole:
        whole.write(header)
        for file in files:
            with file.open("rb") as rows:
                rows.seek(len(header))
                shutil.copyfileobj(rows, whole, 2**20)


def _header(file: Path, columns: Sequence[str]) -> bytes:
    """The first bytes of a file of CSV; a name of a column may hold a line break, and may be escaped."""
    headers = [csv_header(columns, cell).encode() for cell in (csv_cell, escaped_csv_cell)]
    with file.open("rb") as rows:
        start = rows.read(max(map(len, headers)))
    return next(header for header in headers if start.startswith(header))


def _schemas(file: Path, content: ShardContent) -> Iterator[pa.Schema]:
    """The types of each window."""
    common = pq.read_schema(file)
    for number in content.parts:
        own = content.schemas.get(number)
        yield pa.ipc.read_schema(pa.py_buffer(base64.b64decode(own))) if own else common


def _tables(file: Path, content: ShardContent) -> Iterator[pa.Table]:
    """The rows of each window, in its types."""
    with pq.ParquetFile(file) as opened:
        filled = iter([group for group in range(opened.num_row_groups) if opened.metadata.row_group(group).num_rows])
        for part, schema in zip(content.parts.values(), _schemas(file, content), strict=True):
            table = opened.read_row_group(next(filled)) if part["rows"] else opened.schema_arrow.empty_table()
            # A column of strings stays one when it meets others, so its values are already as they will be.
            fields = [was if was.type == pa.string() else own for was, own in zip(table.schema, schema, strict=True)]
            yield table.cast(pa.schema(fields))
