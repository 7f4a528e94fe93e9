"""Windows: rows that follow each other in files, as many as fit in memory at any size of input."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_lit.data.fingerprints import add_table, is_binary
from emotion_lit.data.formats.blocks import Reject, is_json_text, to_values
from emotion_lit.data.plain_values import json_column, plain, to_json

if TYPE_CHECKING:
    import pyarrow as pa

# A window also ends after this number of characters, so that long rows do not fill the memory.
WINDOW_CHARACTERS = 2**25


class Window:
    """Rows in the order of the input, which are labeled together and written together. It never changes.

    A plain class, because Lightning walks into dataclasses and tuples of a batch.

    Args:
        number: Its place among the windows, from zero.
        tables: The rows, one table after the other; their columns may differ in type.
        rows: The number of each row in the input, from zero, ``[rows]``; rejects count.
        rejects: Rows among them that cannot be read.
        digest: A hash of the whole input up to the end of the window.
    """

    def __init__(
        self,
        number: int,
        tables: Sequence["pa.Table"],
        rows: npt.NDArray[np.int64],
        rejects: Sequence[Reject],
        digest: str,
    ) -> None:
        self.number = number
        self.rows = rows
        self.rejects = rejects
        self.digest = digest
        self._tables = tables

    @property
    def tables(self) -> "Sequence[pa.Table]":
        """The rows, one table after the other."""
        return self._tables

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, column: str) -> list[Any]:
        """The values of a column as Python's own; of a column that a file does not have, the numbers of the rows.

        Args:
            column: Its name.
        """
        found: list[Any] = []
        for table in self._tables:
            if column in table.column_names:
                found += to_values(table, column)
            else:
                found += self.rows[len(found) : len(found) + table.num_rows].tolist()
        return found

    def column(self, column: str, name: str) -> "tuple[pa.Field, pa.ChunkedArray]":
        """A column with its type; strings of JSON if its values are of several types, see `is_json_text`.

        Args:
            column: Its name; of a column that no file has, these are the numbers of the rows.
            name: The name of the field that is returned.
        """
        import pyarrow as pa

        tables = [table for table in self._tables if column in table.column_names]
        if not tables:
            return pa.field(name, pa.int64()), pa.chunked_array([pa.array(self.rows)])
        fields = [table.schema.field(column) for table in tables]
        if len(tables) == len(self._tables) and len({(field.type, is_json_text(field)) for field in fields}) == 1:
            chunks = [chunk for table in tables for chunk in table.column(column).chunks]
            return fields[0].with_name(name), pa.chunked_array(chunks, fields[0].type)
        return json_column(name, self.values(column))


class WindowBuilder:
    """Collects the rows of a window.

    Args:
        number: Its place among the windows, from zero.
        max_rows: How many rows it may have, rejects among them.
        content: The hash of the input, to which they are added.
    """

    def __init__(self, number: int, max_rows: int, content: "hashlib._Hash") -> None:
        self._number = number
        self._max_rows = max_rows
        self._content = content
        self._tables: list[pa.Table] = []
        self._rows: list[npt.NDArray[np.int64]] = []
        self._rejects: list[Reject] = []
        self._room = WINDOW_CHARACTERS
        self.size = 0

    def add_reject(self, reject: Reject) -> None:
        """Adds a row that cannot be read.

        Args:
            reject: The row.
        """
        self._rejects.append(reject)
        # Without the reason, which another version may put in other words.
        fields = to_json(plain([reject.where, reject.content])).encode()
        self._content.update(fields)
        self._room -= len(fields)
        self.size += 1

    def add_rows(self, rows: "pa.Table", first: int) -> int:
        """Adds as many rows as there is room for.

        Args:
            rows: The rows.
            first: The number of the first one in the input.

        Returns:
            How many were added.
        """
        ends = np.cumsum(_sizes(rows))
        taken = min(int(np.searchsorted(ends, self._room)) + 1, self._max_rows - self.size, len(ends))
        self._room -= int(ends[taken - 1])
        self._tables.append(rows.slice(0, taken))
        self._rows.append(np.arange(first, first + taken))
        add_table(self._content, self._tables[-1])
        self.size += taken
        return taken

    def is_full(self) -> bool:
        """Whether there is no room left."""
        return self.size >= self._max_rows or self._room <= 0

    def build(self) -> Window:
        """The window."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)
        return Window(self._number, self._tables, rows, self._rejects, self._content.hexdigest())


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
