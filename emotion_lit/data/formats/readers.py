"""Readers of all file formats: blocks of rows, each row with its place in the file."""

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emotion_lit.data.formats.arrow_reader import arrow_names, read_arrow_file
from emotion_lit.data.formats.blocks import (
    Block,
    OnError,
    Record,
    Reject,
    is_json_text,
    stop,
    to_values,
)
from emotion_lit.data.formats.csv_dialect import Dialect, find_dialect, separator_of
from emotion_lit.data.formats.csv_header import Header, find_header
from emotion_lit.data.formats.csv_reader import CsvReader
from emotion_lit.data.formats.encodings import UTF8, Decoded, decoding_error, encoding_of
from emotion_lit.data.formats.files import IN_BLOCKS, check_text, data_suffix, open_decompressed
from emotion_lit.data.formats.json_array_reader import ArrayReader
from emotion_lit.data.formats.jsonl_reader import JsonReader
from emotion_lit.data.formats.lines import Chunks
from emotion_lit.data.formats.text_reader import TextReader
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say_once

__all__ = [
    "Block",
    "OnError",
    "Reject",
    "TableFormat",
    "column_names",
    "is_json_text",
    "read_blocks",
    "stop",
    "to_values",
]

STDIN = "standard input"
# The bytes in which dialects and headers are detected.
SAMPLE = 2**16
# Excel writes and reads a first line such as sep=;
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class TableFormat:
    """How a text file is divided into rows and columns. None means that it is detected.

    Args:
        separator: The delimiter between fields.
        encoding: The encoding.
        header: Whether the first line has the names of the columns.
        lines: Whether each line of a ``.txt`` file is a text, even if it looks like a table.

    Raises:
        UserError: There is no such separator or encoding.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    lines: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None:
            separator_of(self.separator)
        if self.encoding is not None:
            encoding_of(self.encoding)


def read_blocks(
    path: str,
    columns: Collection[str] | None = None,
    text_format: TableFormat = TableFormat(),
    on_error: OnError = stop,
    text_column: str = "text",
) -> Iterator[Block]:
    """Yields the rows of a file in blocks.

    Args:
        path: A file, which can be compressed, or ``-`` for standard input: a text per line, or JSON Lines if the first
            line is a JSON object, or a table if a separator is set.
        columns: The columns to read; by default all. The table lacks those that the file does not have.
        text_format: How a text file is divided into rows and columns.
        on_error: Called for each row that cannot be read; by default it is an error. If it returns, the row is among
            the block's rejects.
        text_column: The name of the column for the lines of a ``.txt`` file.

    Raises:
        UserError: The file is missing, of another format, or has a row that cannot be read.
    """
    file = Path(path)
    if path != "-" and data_suffix(file) in IN_BLOCKS:
        yield from read_arrow_file(file, columns)
        return
    with _text(path, text_format) as (text, name):
        suffix = _content(text, path, text_format)
        if suffix in (".csv", ".tsv"):
            table = _Table(text, name, suffix, text_format)
            table.explain()
            yield from table.reader(columns, on_error)
            return
        if text.encoding != UTF8 and not text_format.encoding:
            say_once(f"{name} is read as {text.encoding}; data.encoding sets another")
        blocks: Iterable[Block]
        if suffix == ".json":
            blocks = ArrayReader(text, name, columns, text.encoding, on_error)
        elif suffix == ".jsonl":
            blocks = JsonReader(Chunks(text), name, columns, text.encoding, on_error)
        else:
            blocks = TextReader(Chunks(text), name, text_column, text.encoding, on_error, warns=not text_format.lines)
        yield from blocks


def column_names(path: str, text_format: TableFormat = TableFormat()) -> tuple[str, ...]:
    """The names of a file's columns; empty for standard input and files without columns.

    Args:
        path: The file.
        text_format: How a text file is divided into rows and columns.

    Raises:
        UserError: The file is missing, or of another format.
    """
    if path == "-":
        return ()
    if data_suffix(Path(path)) in IN_BLOCKS:
        return arrow_names(Path(path))
    with _text(path, text_format) as (text, name):
        suffix = _content(text, path, text_format)
        if suffix in (".csv", ".tsv"):
            return _Table(text, name, suffix, text_format).header.names
        if suffix == ".txt":
            return ()
    first = next(iter(read_blocks(path, text_format=text_format, on_error=lambda *_: None)), None)
    return first.names if first else ()


class _Table:
    """A CSV file, whose dialect and header are detected from its beginning."""

    def __init__(self, text: Decoded, name: str, suffix: str, text_format: TableFormat) -> None:
        self._chunks, self._name, self._set, self._text = Chunks(text), name, text_format, text
        self._chunks.size = SAMPLE
        start = self._chunks.take()
        self._chunks.shrink()
        if not start:
            raise UserError(f"{name} is empty; its first line should have the names of the columns")
        self._chunks.give_back(start)
        setting = text_format.separator
        hint = SEPARATOR_LINE.fullmatch(start[:20].partition(b"\n")[0].decode("utf-8", "replace").lstrip("\ufeff"))
        if hint:
            start, setting = start.partition(b"\n")[2], setting or hint[1]
        self._suffix = suffix
        self.dialect, rows = find_dialect(start, suffix, setting, name)
        self.header = find_header(rows, text_format.header, name)
        self._before = bool(hint)
        for column in self.header.names:
            if bad := decoding_error(column, text.encoding):
                raise UserError(f"{name}, line 1{bad[0]}")

    def reader(self, columns: Collection[str] | None, on_error: OnError) -> CsvReader:
        """The reader of its rows."""
        header = Header(self.header.names, self.header.rows + self._before)
        return CsvReader(self._chunks, self._name, self.dialect, header, columns, self._text.encoding, on_error)

    def explain(self) -> None:
        """Tells the user what was detected, if it is not the usual format."""
        found = []
        plain = Dialect("\t" if self._suffix == ".tsv" else ",")
        if self.dialect not in (plain, Dialect(separator_of(self._set.separator or plain.separator))):
            found.append(str(self.dialect))
        if self._text.encoding != UTF8 and not self._set.encoding:
            found.append(f"encoding {self._text.encoding}")
        found += ["a second byte-order mark, which is ignored"] if self._text.marks > 1 else []
        found += self.header.notes
        if found:
            say_once(f"{self._name}: {'; '.join(found)} (data.separator, data.encoding and data.header set it)")


@contextmanager
def _text(path: str, text_format: TableFormat) -> Iterator[tuple[Decoded, str]]:
    """Opens a text file as UTF-8; also returns its name for messages."""
    if path == "-":
        if sys.stdin is None:
            raise UserError("standard input is closed; give --data.predict_path FILE")
        raw = getattr(sys.stdin, "buffer", None)
        yield Decoded(_Encoded() if raw is None else raw, text_format.encoding, STDIN), STDIN
        return
    with open_decompressed(Path(path)) as file:
        text = Decoded(file, text_format.encoding, Path(path).name)
        check_text(text.start, Path(path).name)
        yield text, Path(path).name


class _Encoded:
    """Standard input without a byte buffer, as in notebooks and tests."""

    def read(self, size: int, /) -> bytes:
        """The next characters, at most ``size``, as bytes."""
        return sys.stdin.read(size).encode("utf-8", "surrogateescape")


def _content(text: Decoded, path: str, text_format: TableFormat) -> str:
    """The suffix of the format that a text file has by its content."""
    suffix = ".txt" if path == "-" else data_suffix(Path(path))
    start = text.peek().decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if path == "-" and start.startswith("{"):
        return ".jsonl"
    if suffix == ".txt" and text_format.separator and not text_format.lines:
        return ".csv"
    if suffix == ".json" and not start.startswith("["):
        _check_lines(start, path)
        return ".jsonl"
    return suffix


def _check_lines(start: str, path: str) -> None:
    """Checks that a ``.json`` file without an array has an object on each line."""
    first, *others = (line for line in start.splitlines() if line.strip()) if start else ("",)
    try:
        record = json.loads(first) if first else {}
    except ValueError:
        record = None
    columns = isinstance(record, dict) and not others and _is_of_columns(record)
    if (record is not None and not columns) or (not others and len(first) > len(start) / 2 > 2**14):
        return
    file = Path(path)
    inner = re.match(r'\{\s*"([^"]+)"\s*:\s*\[\s*\{', start)
    if inner:
        code = (
            f"import json; json.dump(json.load(open('{path}', encoding='utf-8'))['{inner[1]}'], open('rows.json', 'w'))"
        )
        raise UserError(f'{file.name} is one JSON object; extract its records: python -c "{code}"')
    code = f"import pandas; pandas.read_json('{path}').to_csv('{file.with_suffix('.csv')}', index=False)"
    what = "neither a JSON array of records nor JSON Lines; if it has one list per column, convert it"
    raise UserError(f'{file.name} is {what}: python -c "{code}"')


def _is_of_columns(record: Record) -> bool:
    """Whether an object is a whole table of columns, not a row."""
    values = list(record.values())
    return bool(values) and all(isinstance(value, list | dict) and len(value) == len(values[0]) for value in values)
