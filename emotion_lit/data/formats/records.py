"""Records of a file, one at a time, each with the place it came from."""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

from emotion_lit.data.formats.blocks import OnError, Record, stop
from emotion_lit.data.formats.files import COMPRESSIONS, SUFFIXES, check_readable, is_inside, kind, record_files
from emotion_lit.data.formats.readers import TableFormat, column_names, read_blocks

__all__ = [
    "COMPRESSIONS",
    "SUFFIXES",
    "Record",
    "check_readable",
    "column_names",
    "is_inside",
    "kind",
    "read_records",
    "record_files",
    "stop",
]
# Of a block, so many rows at a time become Python's own values.
ROWS = 4096


def read_records(
    path: str,
    text_column: str = "text",
    on_error: OnError = stop,
    columns: Collection[str] | None = None,
    text_format: TableFormat = TableFormat(),
) -> Iterator[tuple[str, Record]]:
    """Yields the records of a file with their places, such as ``"reviews.csv, line 17"``.

    Args:
        path: A file, or ``-`` for standard input.
        text_column: The key under which the lines of a ``.txt`` file come.
        on_error: What to do about a row that cannot be read; by default it is an error.
        columns: The columns that are needed; by default all.
        text_format: How a file of text is divided, where that is not to be found from it.

    Raises:
        UserError: The file is missing, of another kind, or has an unreadable row.
    """
    for block in read_blocks(path, columns, text_format, stop if on_error is stop else _keep, text_column):
        rejects = deque(zip(block.before, block.rejects, strict=True))
        for start in range(0, block.table.num_rows, ROWS):
            part = block.part(start, ROWS)
            values = [part.values(name) for name in part.table.column_names]
            for row in range(part.table.num_rows):
                while rejects and rejects[0][0] <= start + row:
                    reject = rejects.popleft()[1]
                    on_error(reject.where, reject.reason, reject.content)
                record = {name: value[row] for name, value in zip(part.table.column_names, values, strict=True)}
                yield part.place(row), record
        for _, reject in rejects:
            on_error(reject.where, reject.reason, reject.content)


def _keep(where: str, reason: str, content: Any) -> None:
    """Leaves a row that cannot be read among the rejects of its block."""
