"""Windows as bytes, for their way from the process that reads them to the one that labels them.

Ray divides a table between rows, but not a value; and each window keeps the types of its columns.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from emotion_lit.data.formats.blocks import Reject
from emotion_lit.data.plain_values import plain, to_json
from emotion_lit.data.windows import Window


def to_bytes(window: Window) -> bytes:
    """A window as bytes.

    Args:
        window: The window.
    """
    tables = [_ipc(table) for table in window.tables]
    rejects = [asdict(one) for one in window.rejects]
    head = to_json(plain({"number": window.number, "rejects": rejects, "sizes": [len(one) for one in tables]})).encode()
    rows = window.rows.astype(np.int64).tobytes()
    return b"".join([*(len(one).to_bytes(8, "big") for one in (head, rows)), head, rows, *tables])


def from_bytes(content: bytes) -> Window:
    """The window that `to_bytes` wrote; it has no digest.

    Args:
        content: The bytes.
    """
    view = memoryview(content)
    head_size, rows_size = (int.from_bytes(view[start : start + 8], "big") for start in (0, 8))
    head: dict[str, Any] = json.loads(bytes(view[16 : 16 + head_size]))
    start = 16 + head_size
    rows = np.frombuffer(view[start : start + rows_size], np.int64)
    start += rows_size
    tables = []
    for size in head["sizes"]:
        with pa.ipc.open_stream(view[start : start + size]) as reader:
            tables.append(reader.read_all())
        start += size
    return Window(head["number"], tables, rows, [Reject(**one) for one in head["rejects"]], "")


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
