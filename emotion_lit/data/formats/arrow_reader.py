"""Parquet and Arrow files; only the requested columns are read."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from emotion_lit.data.formats.blocks import Block, Places
from emotion_lit.data.formats.files import data_suffix, open_decompressed
from emotion_lit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192


def read_arrow_file(file: Path, columns: Collection[str] | None) -> Iterator[Block]:
    """Yields the rows of a Parquet or Arrow file.

    Args:
        file: The file.
        columns: The columns to read; None for all.

    Raises:
        UserError: It cannot be read.
    """
    import pyarrow as pa

    with open_decompressed(file) as raw, _clear_errors(file):
        names = tuple(_names(raw, file))
        wanted = [name for name in names if columns is None or name in columns]
        raw.seek(0)
        number = 0
        for batch in (_parquet if data_suffix(file) == ".parquet" else _ipc)(raw, wanted):
            rows = range(number + 1, number + 1 + batch.num_rows)
            number += batch.num_rows
            if batch.num_rows:
                yield Block(pa.Table.from_batches([batch]), names, Places(file.name, "row", rows))


def arrow_names(file: Path) -> tuple[str, ...]:
    """The names of the columns of a Parquet or Arrow file; raises `UserError` if it cannot be read."""
    with open_decompressed(file) as raw, _clear_errors(file):
        return tuple(_names(raw, file))


def _names(raw: BinaryIO, file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if data_suffix(file) == ".parquet":
        with pq.ParquetFile(raw) as parquet:
            names = parquet.schema_arrow.names
    else:
        names = _ipc_reader(raw, pa.ipc.IpcReadOptions()).schema.names
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{file.name}: the column {twice!r} occurs twice; rename one of them")
    return list(names)


def _parquet(raw: BinaryIO, wanted: list[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow.parquet as pq

    with pq.ParquetFile(raw) as parquet:
        yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=wanted)


def _ipc(raw: BinaryIO, wanted: list[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    names = _ipc_reader(raw, pa.ipc.IpcReadOptions()).schema.names
    raw.seek(0)
    reader = _ipc_reader(raw, pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in wanted] or [0]))
    batches = (
        reader
        if isinstance(reader, pa.ipc.RecordBatchStreamReader)
        else map(reader.get_batch, range(reader.num_record_batches))
    )
    for batch in batches:
        kept = batch.select(wanted)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield kept.slice(start, BATCH_ROWS)


def _ipc_reader(
    raw: BinaryIO, options: "pa.ipc.IpcReadOptions"
) -> "pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader":
    import pyarrow as pa

    start = raw.read(6)
    raw.seek(0)
    return pa.ipc.open_file(raw, options=options) if start == b"ARROW1" else pa.ipc.open_stream(raw, options=options)


@contextmanager
def _clear_errors(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(f"{file.name} is not a readable {data_suffix(file)[1:]} file ({reason})") from error
