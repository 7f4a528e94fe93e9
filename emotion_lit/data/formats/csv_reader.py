"""CSV files: Arrow reads plain chunks; Python's csv module reads all others, row by row."""

import csv
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.blocks import Block, BlockBuilder, OnError, Places, without_columns
from emotion_lit.data.formats.csv_dialect import Dialect
from emotion_lit.data.formats.csv_header import Header
from emotion_lit.data.formats.encodings import decoding_error, is_plain
from emotion_lit.data.formats.lines import Chunks, RowLines, read_chunks
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say_once

if TYPE_CHECKING:
    import pyarrow as pa


class CsvReader:
    """Reads the rows of a CSV file.

    Args:
        chunks: The file.
        name: The name of the file.
        dialect: Its delimiter and quoting.
        header: The names of its columns.
        columns: The columns to read; None for all.
        encoding: The encoding of the file on disk, for messages.
        on_error: Called for each row that cannot be read.
    """

    def __init__(
        self,
        chunks: Chunks,
        name: str,
        dialect: Dialect,
        header: Header,
        columns: Collection[str] | None,
        encoding: str,
        on_error: OnError,
    ) -> None:
        self._chunks, self._name, self._dialect, self._encoding = chunks, name, dialect, encoding
        self._names, self._on_error = header.names, on_error
        self._to_skip = header.rows
        self._kept = [place for place, one in enumerate(self._names) if columns is None or one in columns]
        self._line = 1
        self._warned = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read csv")

    def __iter__(self) -> Iterator[Block]:
        with self._thread:
            yield from read_chunks(self._chunks, self._fast, self._careful)

    def _careful(self, chunk: bytes | None) -> Block:
        """Reads a chunk row by row; the last row may continue in the next chunks."""
        if chunk is None:
            raise UserError(f"{self._name}, line {self._line}: a row is longer than {lines.LONGEST:,} bytes; split it")
        fed = RowLines(self._chunks, chunk, self._line, self._name)
        rows = BlockBuilder(self._name, self._on_error)
        reader = csv.reader(fed, **self._dialect.options)
        while fed.begin_row():
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                reason = f" cannot be read ({error}); correct the line"
                if fed.last_line > fed.line:
                    self._warn(fed.line, fed.last_line)
                    reason = (
                        f" cannot be read: a quotation mark opens a field that is not closed up to line "
                        f"{fed.last_line} ({error}); close it, or double it where it is part of the text"
                    )
                line = fed.first_line()  # the next lines may be rows
                rows.reject(fed.line, reason, line.rstrip("\r\n"))
                continue
            if self._to_skip and row:
                self._to_skip -= 1
                break
            if row:
                self._add(rows, fed, [row[0].lstrip("\ufeff"), *row[1:]])
        self._line = fed.give_back_rest()
        return rows.block(self._table(rows.records), self._names)

    def _add(self, rows: BlockBuilder, fed: RowLines, row: list[str]) -> None:
        bad = decoding_error("".join(row), self._encoding)
        if bad is not None:
            rows.reject(fed.line, *bad)
        elif len(row) != len(self._names):
            reason = (
                f" has {len(row)} fields, but the header has {len(self._names)}; correct the line (a text with "
                f"{self._dialect.separator!r} needs quotes)"
            )
            rows.reject(fed.line, reason, row)
        else:
            if fed.last_line > fed.line:
                self._warn(fed.line, fed.last_line)
            rows.add(fed.line, row)

    def _table(self, rows: Sequence[Sequence[str]]) -> "pa.Table":
        import pyarrow as pa

        names = [self._names[place] for place in self._kept]
        arrays = [pa.array([row[place] for row in rows], pa.string()) for place in self._kept]
        return pa.Table.from_arrays(arrays, names=names) if names else without_columns(len(rows))

    def _fast(self, chunk: bytes) -> Block | None:
        """Reads the whole rows of a chunk with Arrow, unless Arrow might read them differently; puts back the rest."""
        if self._to_skip:
            return None
        separator = self._dialect.separator
        plain = not self._dialect.skip_blank and separator.isascii() and self._kept
        if not plain or (self._dialect.escaped and b"\\" in chunk):
            return None
        parsed = self._thread.submit(self._arrow, chunk, False)  # while the chunk is checked
        if not is_plain(chunk):
            return None
        buffer = np.frombuffer(chunk, np.uint8)
        quotes = np.flatnonzero(buffer == ord('"')) if self._dialect.quoted and b'"' in chunk else None
        if quotes is not None and not _are_regular(buffer, quotes, ord(separator)):
            return None
        ends = np.flatnonzero(buffer == ord("\n"))
        inside = np.zeros(len(ends), bool) if quotes is None else np.searchsorted(quotes, ends) % 2 == 1
        is_even = quotes is None or len(quotes) % 2 == 0
        if is_even and not inside.any():
            count = len(ends) + (chunk[-1:] != b"\n")
            table = parsed.result()
            if table is not None and table.num_rows == count:  # so each line is a row
                self._line += count
                return Block(table, self._names, Places(self._name, "line", range(self._line - count, self._line)))
        return self._fast_rows(chunk, ends, inside, open_end=is_even and chunk[-1:] != b"\n")

    def _fast_rows(self, chunk: bytes, ends: np.ndarray, inside: np.ndarray, open_end: bool) -> Block | None:
        """Does the same for a chunk in which a row may span several lines, or a line may be empty."""
        at_rows = np.flatnonzero(~inside)
        if not open_end and not len(at_rows):
            return None
        end = len(chunk) if open_end else int(ends[at_rows[-1]]) + 1
        starts = np.concatenate([[0], at_rows + 1])
        starts = starts if open_end else starts[:-1]
        lasts = np.append(at_rows, len(ends)) if open_end else at_rows
        several = np.flatnonzero(starts != lasts)
        firsts = np.concatenate([[0], ends + 1])[starts]
        empty = np.isin(np.frombuffer(chunk, np.uint8)[firsts], [ord("\n"), ord("\r")])
        table = self._arrow(chunk[:end], bool(len(several)))
        if table is None or table.num_rows != np.count_nonzero(~empty):
            return None
        if len(several):
            self._warn(self._line + int(starts[several[0]]), self._line + int(lasts[several[0]]))
        self._chunks.give_back(chunk[end:])
        numbers = cast(Sequence[int], (starts[~empty] + self._line).astype(np.uint32))
        self._line += int(np.searchsorted(ends, end))
        return Block(table, self._names, Places(self._name, "line", numbers))

    def _arrow(self, chunk: bytes, long: bool) -> "pa.Table | None":
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        kept = [self._names[place] for place in self._kept]
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(chunk),
                arrow_csv.ReadOptions(
                    column_names=list(self._names), block_size=max(lines.SMALLEST_CHUNK, len(chunk) // 4)
                ),
                arrow_csv.ParseOptions(
                    delimiter=self._dialect.separator,
                    quote_char='"' if self._dialect.quoted else False,
                    newlines_in_values=long,
                ),
                arrow_csv.ConvertOptions(
                    include_columns=kept,
                    column_types=dict.fromkeys(kept, pa.string()),
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            return None

    def _warn(self, first: int, last: int) -> None:
        if not self._warned:
            self._warned = True
            say_once(
                f"warning: {self._name}, line {first}: a quoted field spans several lines, to line "
                f"{last}; if it should not, a quotation mark is missing, or there is one too many"
            )


def _are_regular(buffer: np.ndarray, quotes: np.ndarray, separator: int) -> bool:
    """Whether each quotation mark opens a field, closes a field, or is doubled inside a field."""
    doubled = np.diff(quotes) == 1
    opening, closing = quotes[::2], quotes[1::2]
    before = buffer[np.maximum(opening - 1, 0)]
    opens = (opening == 0) | (before == separator) | (before == ord("\n"))
    opens[1:] |= doubled[1::2][: len(opening) - 1]
    after = buffer[np.minimum(closing + 1, len(buffer) - 1)]
    closes = (closing == len(buffer) - 1) | (after == separator) | (after == ord("\n")) | (after == ord("\r"))
    continued = doubled[1::2]
    closes[: len(continued)] |= continued
    return bool(opens.all() and closes.all())
