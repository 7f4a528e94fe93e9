"""Windows: the rows of files in their order, so many at a time that memory stays flat at any size of input."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_lit.data.columns import TASK_TEXT, TEXT_NAMES, find_text_column
from emotion_lit.data.fingerprints import Hash, add_table, is_binary
from emotion_lit.data.formats.arrow_types import without_views
from emotion_lit.data.formats.files import kind
from emotion_lit.data.formats.readers import (
    STDIN,
    Block,
    OnError,
    Reject,
    TableFormat,
    column_names,
    is_json_text,
    read_blocks,
    to_values,
)
from emotion_lit.data.labels.annotation_tools import text_inside
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say_once

if TYPE_CHECKING:
    import pyarrow as pa

# A window also ends where its rows come to so many characters, so that long ones do not fill the memory.
WINDOW_CHARACTERS = 2**25
# The name of a column that most files have not, and that need not be there.
DEFAULT_ID = "id"
# In these, a row may leave out what others have, so that only the end of the file shows what it has.
OPEN_KINDS = (".json", ".jsonl")
FOUND = TableFormat()


class Window:
    """Rows in the order of the input, which are computed together and written together.

    Attributes:
        number: Its place among the windows, from zero.
        rows: The number of each row in the input, from zero; rejected rows count.
        notes: What there is to say about each row; mostly nothing.
        rejects: Rows among them that could not be read.
        digest: A hash of the whole input up to its end.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: list[int] = []
        self.notes: list[str] = []
        self.rejects: list[Reject] = []
        self.digest = ""
        self._tables: list[pa.Table] = []
        self._room = WINDOW_CHARACTERS

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: "pa.Table | Reject", first: int, most: int, content: Hash) -> "pa.Table | None":
        """Adds as many rows as there is room for.

        Args:
            rows: The rows, or one that cannot be read.
            first: The number of the first one in the input.
            most: How many rows a window may have, rejects among them.
            content: The hash, to which they are added.

        Returns:
            The rows that are left.
        """
        if isinstance(rows, Reject):
            self.rejects.append(rows)
            shown = repr(rows).encode("utf-8", "surrogatepass")
            content.update(shown)
            self._room -= len(shown)
            return None
        ends = np.cumsum(_sizes(rows))
        taken = min(int(np.searchsorted(ends, self._room)) + 1, most - len(self) - len(self.rejects), len(ends))
        self._room -= int(ends[taken - 1])
        self._tables.append(rows.slice(0, taken))
        self.rows.extend(range(first, first + taken))
        add_table(content, self._tables[-1])
        return rows.slice(taken) if taken < rows.num_rows else None

    def is_full(self, most: int) -> bool:
        """Whether there is no room left.

        Args:
            most: How many rows a window may have, rejects among them.
        """
        return len(self) + len(self.rejects) >= most or self._room <= 0

    def values(self, column: str) -> list[Any]:
        """The values of a column; of one that a file has not, the numbers of the rows.

        Args:
            column: Its name.
        """
        found: list[Any] = []
        for table in self._tables:
            there = column in table.column_names
            found += to_values(table, column) if there else self.rows[len(found) : len(found) + table.num_rows]
        return found

    def array(self, column: str) -> "pa.ChunkedArray | None":
        """A column as it came, if it has one type.

        Args:
            column: Its name.
        """
        import pyarrow as pa

        fields = [table.schema.field(column) for table in self._tables]
        if not fields or any(is_json_text(field) or field.type != fields[0].type for field in fields):
            return None
        return pa.chunked_array([chunk for table in self._tables for chunk in table.column(column).chunks])


class Windows:
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

    def read(self, most: int) -> Iterator[Window]:
        """Yields all rows.

        Args:
            most: The rows of a window, rejects among them.

        Raises:
            UserError: A file cannot be read, or lacks a column.
        """
        content = hashlib.sha256()
        window, row = Window(0), 0
        for run in self._runs():
            rest: pa.Table | Reject | None = run
            while rest is not None:
                before = len(window) + len(window.rejects)
                rest = window.add(rest, row, most, content)
                row += len(window) + len(window.rejects) - before
                if window.is_full(most):
                    window.digest = content.hexdigest()
                    yield window
                    window = Window(window.number + 1)
        if window.rows or window.rejects:
            window.digest = content.hexdigest()
            yield window

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
        may_come = file != "-" and kind(Path(file)) in OPEN_KINDS
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
        """The column of texts in a file, said once where it is not the usual one."""
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
                if (usual := without_views(array.type)) != array.type:
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


def _sizes(table: "pa.Table") -> npt.NDArray[np.int64]:
    """About how many characters each row takes."""
    import pyarrow.compute as pc

    sizes = np.ones(table.num_rows, dtype=np.int64)
    for column in table.columns:
        if is_binary(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy()
        else:
            sizes += column.nbytes // max(1, table.num_rows)
    return sizes
