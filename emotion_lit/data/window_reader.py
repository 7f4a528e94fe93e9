"""Reads files into windows of rows."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_lit.data.columns import TASK_TEXT, TEXT_NAMES, find_text_column
from emotion_lit.data.formats.arrow_types import writable_type
from emotion_lit.data.formats.blocks import Block, OnError, Reject
from emotion_lit.data.formats.files import data_suffix
from emotion_lit.data.formats.readers import STDIN, TableFormat, column_names, read_blocks
from emotion_lit.data.labels.annotation_tools import text_inside
from emotion_lit.data.windows import Window, WindowBuilder
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say_once

if TYPE_CHECKING:
    import pyarrow as pa

# The name of an id column that most files do not have, and do not need.
DEFAULT_ID = "id"
# In these formats a row may leave out what others have, so that the columns are known only at the end of the file.
OPEN_KINDS = (".json", ".jsonl")
FOUND = TableFormat()


class WindowReader:
    """Reads files into windows.

    Args:
        files: The files, or ``-`` for standard input.
        text_column: The column of texts; None finds it in each file by its name.
        columns: Other columns that each file has to have.
        id_column: The column of names of the rows; one that is called `id` may be missing.
        text_format: How files of text are divided into rows and columns.
        on_error: Called for each row that cannot be read.
    """

    def __init__(
        self,
        files: Sequence[str],
        text_column: str | None,
        columns: Sequence[str],
        id_column: str,
        text_format: TableFormat,
        on_error: OnError,
    ) -> None:
        self.files = files
        self.text_column = text_column
        self.text_key = text_column or TEXT_NAMES[0]  # of the texts in a window
        self.columns = columns
        self.id_column = id_column
        self.text_format = text_format
        self.on_error = on_error

    def read(self, max_rows: int, skip: int = 0, number: int = 0, row: int = 0) -> Iterator[Window]:
        """Yields all rows, or those from some row on.

        Args:
            max_rows: The rows of a window, rejects among them.
            skip: The rows to leave out at the start.
            number: The number of the first window.
            row: The number of the first row after those.

        Raises:
            UserError: A file cannot be read, or lacks a column.
        """
        content = hashlib.sha256()
        window = WindowBuilder(number, max_rows, content)
        for run in self._runs():
            end = 1 if isinstance(run, Reject) else run.num_rows
            start = min(skip, end)
            skip -= start
            while start < end:
                if isinstance(run, Reject):
                    window.add_reject(run)
                    taken = 1
                else:
                    taken = window.add_rows(run.slice(start), row)
                start, row = start + taken, row + taken
                if window.is_full():
                    yield window.build()
                    number += 1
                    window = WindowBuilder(number, max_rows, content)
        if window.size:
            yield window.build()

    def _runs(self) -> Iterator["pa.Table | Reject"]:
        """Rows that follow each other, and rows that cannot be read."""
        for file in self.files:
            for block in self._blocks(file):
                start = 0
                for end, reject in zip(block.before, block.rejects, strict=True):
                    if end > start:
                        yield block.table.slice(start, end - start)
                    yield reject
                    start = end
                if block.table.num_rows > start:
                    yield block.table.slice(start)

    def _blocks(self, file: str) -> Iterator[Block]:
        """The blocks of a file, with the columns that are needed under their names in a window.

        Raises:
            UserError: It lacks a column.
        """
        name = STDIN if file == "-" else Path(file).name
        names = column_names(file, self.text_format)
        text = self._text_column(names, name) if names else None
        needed = None if text is None else {text, self.id_column, *self.columns}
        may_come = file != "-" and data_suffix(Path(file)) in OPEN_KINDS
        checked = False
        for block in read_blocks(file, needed, self.text_format, self.on_error, self.text_key):
            names = block.names or names
            if text is None and names:
                text = self._text_column(names, name)
            if not may_come and not checked and names:
                self._check(names, name)
                checked = True
            if block.table.num_rows:
                block.table = self._named(block, text or self.text_key)
            yield block
        if may_come and names:
            self._check(names, name)

    def _check(self, names: Sequence[str], where: str) -> None:
        for column, key in (*((one, "keep_columns") for one in self.columns), (self.id_column, "id_column")):
            if column not in names and column != self.text_key and not (key == "id_column" and column == DEFAULT_ID):
                raise UserError(f"{where}: {unknown('column', column, names)} Name it with data.{key}.")

    def _text_column(self, names: Sequence[str], where: str) -> str:
        """The column of texts in a file; printed once if it is not the usual one."""
        name, note = find_text_column(names, self.text_column, where)
        if note:
            say_once(f"{where}: {note}; --data.text_column names another")
        return name

    def _named(self, block: Block, text: str) -> "pa.Table":
        import pyarrow as pa

        fields, arrays = [], []
        for name in dict.fromkeys((self.text_key, self.id_column, *self.columns)):
            source = text if name == self.text_key else name
            if source in block.table.column_names:
                array = block.table.column(source)
                if (usual := writable_type(array.type)) != array.type:
                    array = array.cast(usual)
                field = block.table.schema.field(source).with_name(name).with_type(array.type)
                if name == self.text_key and self.text_column is None and source == TASK_TEXT:
                    array = pa.chunked_array([_plain([text_inside(value) for value in block.values(source)])])
                    field = pa.field(name, array.type)
            elif name == self.id_column and name not in self.columns:
                continue  # each row gets its number
            else:
                array = pa.chunked_array([pa.nulls(block.table.num_rows)])
                field = pa.field(name, array.type)
            fields.append(field)
            arrays.append(array)
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _plain(values: list[Any]) -> "pa.Array":
    import pyarrow as pa

    return pa.array([value if isinstance(value, str) else None for value in values], pa.string())
