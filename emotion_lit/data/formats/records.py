"""Records of a file, one at a time, each with its place in the file."""

from collections import deque
from collections.abc import Collection, Iterator

from emotion_lit.data.formats.blocks import OnError, Record, leave_out, stop
from emotion_lit.data.formats.files import COMPRESSIONS, SUFFIXES, check_readable, data_suffix, is_inside, record_files
from emotion_lit.data.formats.readers import TableFormat, column_names, read_blocks

__all__ = [
    "COMPRESSIONS",
    "SUFFIXES",
    "Record",
    "check_readable",
    "column_names",
    "data_suffix",
    "is_inside",
    "read_records",
    "record_files",
    "stop",
]
# The number of rows that become Python objects at once.
ROWS = 4096


def read_records(
    path: str,
    text_column: str = "text",
    on_error: OnError = stop,
    columns: Collection[str] | None = None,
    text_format: TableFormat = TableFormat(),
) -> Iterator[tuple[str, Record]]:
    """Yields the places of a file's records, such as ``"reviews.csv, line 17"``, and the records.

    Args:
        path: A file, or ``-`` for standard input.
        text_column: The key of the lines of a ``.txt`` file.
        on_error: Called for each row that cannot be read; by default it is an error.
        columns: The columns to read; by default all.
        text_format: How a text file is divided into rows and columns.

    Raises:
        UserError: The file is missing, of another format, or has a row that cannot be read.
    """
    for block in read_blocks(path, columns, text_format, stop if on_error is stop else leave_out, text_column):
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
