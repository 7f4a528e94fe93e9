"""Tables out of files of any kind, block by block, each row with the place it came from."""

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
    Rows,
    is_json_text,
    stop,
    to_table,
    to_values,
)
from emotion_lit.data.formats.csv_dialect import Dialect, Heading, find_dialect, find_heading, separator_of
from emotion_lit.data.formats.csv_reader import CsvReader
from emotion_lit.data.formats.decoding_errors import unreadable
from emotion_lit.data.formats.encodings import UTF8, Decoded, encoding_of
from emotion_lit.data.formats.files import IN_BLOCKS, check_text, kind, opened
from emotion_lit.data.formats.json_array_reader import ArrayReader
from emotion_lit.data.formats.jsonl_reader import JsonReader
from emotion_lit.data.formats.lines import Pieces
from emotion_lit.data.formats.text_reader import TextReader
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say_once

__all__ = [
    "Block",
    "OnError",
    "Record",
    "Reject",
    "Rows",
    "TableFormat",
    "column_names",
    "is_json_text",
    "read_blocks",
    "stop",
    "to_table",
    "to_values",
]

STDIN = "standard input"
# Bytes of whole lines, in which dialects and headings are found.
SAMPLE = 2**16
# Excel writes and reads such a first line.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class TableFormat:
    """How a file of text is divided into rows and columns; what is None is found from the file's beginning.

    Args:
        separator: What stands between two fields.
        encoding: How characters are written as bytes.
        header: Whether the first line names the columns.
        lines: Whether the lines of a ``.txt`` file are meant, even if they look like a table.

    Raises:
        UserError: A setting has a value that it cannot have.
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
        path: A file, also a compressed one, or ``-`` for standard input: a text a line, or JSON lines where the first
            line is a JSON object, or a table where a separator is set.
        columns: The columns that are needed; by default all. One that the file has not is not in the table.
        text_format: How a file of text is divided, where that is not to be found from it.
        on_error: Called for each row that cannot be read; by default it is an error. Where it returns, the row is
            among the block's rejects.
        text_column: The name of the column that the lines of a ``.txt`` file come in.

    Raises:
        UserError: The file is missing, of another kind, or has a row that cannot be read.
    """
    file = Path(path)
    if path != "-" and kind(file) in IN_BLOCKS:
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
            blocks = JsonReader(Pieces(text), name, columns, text.encoding, on_error)
        else:
            blocks = TextReader(Pieces(text), name, text_column, text.encoding, on_error, warns=not text_format.lines)
        yield from blocks


def column_names(path: str, text_format: TableFormat = TableFormat()) -> tuple[str, ...]:
    """The names of a file's columns, without its rows; none for standard input and files without columns.

    Args:
        path: The file.
        text_format: How a file of text is divided, where that is not to be found from it.

    Raises:
        UserError: The file is missing, or of another kind.
    """
    if path == "-":
        return ()
    if kind(Path(path)) in IN_BLOCKS:
        return arrow_names(Path(path))
    with _text(path, text_format) as (text, name):
        suffix = _content(text, path, text_format)
        if suffix in (".csv", ".tsv"):
            return _Table(text, name, suffix, text_format).heading.names
        if suffix == ".txt":
            return ()
    first = next(iter(read_blocks(path, text_format=text_format, on_error=lambda *_: None)), None)
    return first.names if first else ()


class _Table:
    """A table of text, whose dialect and heading are found from its beginning."""

    def __init__(self, text: Decoded, name: str, suffix: str, text_format: TableFormat) -> None:
        self._pieces, self._name, self._set, self._text = Pieces(text), name, text_format, text
        self._pieces.size = SAMPLE
        start = self._pieces.take()
        self._pieces.shrink()
        if not start:
            raise UserError(f"{name} is empty; its first line should name the columns")
        self._pieces.give_back(start)
        setting = text_format.separator
        hint = SEPARATOR_LINE.fullmatch(start[:20].partition(b"\n")[0].decode("utf-8", "replace").lstrip("\ufeff"))
        if hint:
            start, setting = start.partition(b"\n")[2], setting or hint[1]
        self._suffix = suffix
        self.dialect, rows = find_dialect(start, suffix, setting, name)
        self.heading = find_heading(rows, text_format.header, name)
        self._before = bool(hint)
        for column in self.heading.names:
            if bad := unreadable(column, text.encoding):
                raise UserError(f"{name}, line 1{bad[0]}")

    def reader(self, columns: Collection[str] | None, on_error: OnError) -> CsvReader:
        """What reads it."""
        heading = Heading(self.heading.names, self.heading.rows + self._before)
        return CsvReader(self._pieces, self._name, self.dialect, heading, columns, self._text.encoding, on_error)

    def explain(self) -> None:
        """Says what was found, if it is not what one expects."""
        found = []
        plain = Dialect("\t" if self._suffix == ".tsv" else ",")
        if self.dialect not in (plain, Dialect(separator_of(self._set.separator or plain.separator))):
            found.append(str(self.dialect))
        if self._text.encoding != UTF8 and not self._set.encoding:
            found.append(f"encoding {self._text.encoding}")
        if self._text.marks > 1:
            found.append("a second byte-order mark, which is left out")
        found += self.heading.notes
        if found:
            say_once(f"{self._name}: {'; '.join(found)} (data.separator, data.encoding and data.header set it)")


@contextmanager
def _text(path: str, text_format: TableFormat) -> Iterator[tuple[Decoded, str]]:
    """A file of text as UTF-8, and its name."""
    if path == "-":
        if sys.stdin is None:
            raise UserError("standard input is closed; give --data.predict_path FILE")
        raw = getattr(sys.stdin, "buffer", None)
        yield Decoded(_Encoded() if raw is None else raw, text_format.encoding, STDIN), STDIN
        return
    with opened(Path(path)) as file:
        text = Decoded(file, text_format.encoding, Path(path).name)
        check_text(text.start, Path(path).name)
        yield text, Path(path).name


class _Encoded:
    """Standard input without bytes, as notebooks and tests have it."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the next characters."""
        return sys.stdin.read(size).encode("utf-8", "surrogateescape")


def _content(text: Decoded, path: str, text_format: TableFormat) -> str:
    """The suffix of the kind that a file of text is."""
    suffix = ".txt" if path == "-" else kind(Path(path))
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
    """Checks that a ``.json`` file that is no array has an object in each line."""
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
        raise UserError(f'{file.name} is one JSON object; take the records out of it: python -c "{code}"')
    code = f"import pandas; pandas.read_json('{path}').to_csv('{file.with_suffix('.csv')}', index=False)"
    raise UserError(
        f"{file.name} is neither a JSON array of records nor has it an object in each line; if columns stand in it, "
        f'convert it: python -c "{code}"'
    )


def _is_of_columns(record: Record) -> bool:
    """Whether an object is a table, column by column, rather than a row."""
    values = list(record.values())
    return bool(values) and all(isinstance(value, list | dict) and len(value) == len(values[0]) for value in values)
