"""Records of a file, one at a time, each with the place it came from."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from emotion_lit.errors import UserError

SUFFIXES = (".csv", ".jsonl", ".parquet", ".txt")
# Texts may be long; the csv module's own limit is 128 KiB a field.
csv.field_size_limit(2**31 - 1)

Record = dict[str, Any]


def read_records(path: str, text_column: str = "text") -> Iterator[tuple[str, Record]]:
    """Yields the records of a file with their places, such as ``"line 17"``.

    Args:
        path: A ``.csv``, ``.jsonl``, ``.parquet`` or ``.txt`` file, or ``-`` for standard input: a text a line, or JSON
            lines where the first line is a JSON object.
        text_column: The key under which the lines of a ``.txt`` file come.

    Raises:
        UserError: The file is missing, of another kind, or has an unreadable row.
    """
    if path == "-":
        yield from _stdin(text_column)
        return
    file = Path(path)
    check_readable(file)
    if file.suffix == ".parquet":
        yield from _parquet(file)
        return
    with file.open(encoding="utf-8-sig", newline="") as lines, _decoding(file.name):
        if file.suffix == ".csv":
            yield from _csv(lines, file.name)
        elif file.suffix == ".jsonl":
            yield from _jsonl(lines, file.name)
        else:
            yield from _txt(lines, file.name, text_column)


def check_readable(file: Path) -> None:
    """Checks that a file is there and of a kind that can be read.

    Args:
        file: The file.

    Raises:
        UserError: It is not.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if file.suffix not in SUFFIXES:
        raise UserError(f"{file} is not one of {', '.join(SUFFIXES)}; rename or convert it")


def record_files(path: str) -> list[str]:
    """The files to read for a path: the file itself, or all files of a known kind in a folder, sorted by name.

    Args:
        path: A file, a folder, or ``-``.

    Raises:
        UserError: There is nothing to read.
    """
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        if path != "-":
            check_readable(folder)
        return [path]
    files = sorted(str(file) for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise UserError(f"the folder {path} holds no file of {', '.join(SUFFIXES)}")
    return files


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"{name} is not UTF-8: byte 0x{byte:02x} cannot be read; convert the file to UTF-8") from error


def _stdin(text_column: str) -> Iterator[tuple[str, Record]]:
    with _decoding("standard input"):
        first = sys.stdin.readline()
        lines = _chain(first, sys.stdin)
        if first.lstrip().startswith("{"):
            yield from _jsonl(lines, "standard input")
        else:
            yield from _txt(lines, "standard input", text_column)


def _chain(first: str, rest: TextIO) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _txt(lines: Iterator[str] | TextIO, name: str, text_column: str) -> Iterator[tuple[str, Record]]:
    for number, line in enumerate(lines, 1):
        yield f"{name}, line {number}", {text_column: line.rstrip("\r\n")}


def _jsonl(lines: Iterator[str] | TextIO, name: str) -> Iterator[tuple[str, Record]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{name}, line {number} is not JSON ({error}); mend or remove the line") from error
        if not isinstance(record, dict):
            raise UserError(f"{name}, line {number} is not a JSON object; write one object a line")
        yield f"{name}, line {number}", record


def _csv(lines: TextIO, name: str) -> Iterator[tuple[str, Record]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise UserError(f"{name} is empty; its first line should name the columns")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise UserError(
                    f"{name}, line {reader.line_num} has {len(row)} fields where the heading has {len(header)}; "
                    "mend the line (a text with commas needs quotes)"
                )
            yield f"{name}, line {reader.line_num}", dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num} cannot be read ({error}); mend the line") from error


def _parquet(file: Path) -> Iterator[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=4096):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{file.name}, row {number}", record
    except pa.ArrowInvalid as error:
        raise UserError(f"{file.name} is not a readable parquet file ({error})") from error
