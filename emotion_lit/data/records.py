"""Records of a file, one at a time, each with the place it came from."""

import csv
import gzip
import io
import itertools
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from emotion_lit.console import say
from emotion_lit.data.lines import TOO_LONG, RowLines, is_nested, lines_of
from emotion_lit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".jsonl", ".parquet", ".txt")
COMPRESSIONS = (".gz", ".zst")
# Texts may be long; the csv module's own limit is 128 KiB a field.
csv.field_size_limit(2**31 - 1)
# JSON may hold lists in lists; what writes them again goes down one level at a time.
MOST_LEVELS = 64
# Parquet cannot be read from a compressed stream.
MOST_UNPACKED = 2**32
# How Python keeps a byte that is no UTF-8.
ESCAPED_BYTE = re.compile("[\udc80-\udcff]")

Record = dict[str, Any]
Lines = Iterable[str | None]
# Called with the place of a row that cannot be read, the reason, and what stands there.
OnError = Callable[[str, str, Any], None]


def stop(where: str, reason: str, content: Any) -> NoReturn:
    """Ends the reading at a row that cannot be read.

    Args:
        where: Its place.
        reason: What is wrong with it.
        content: What stands there.

    Raises:
        UserError: Always.
    """
    raise UserError(f"{where}{reason}")


def read_records(
    path: str, text_column: str = "text", on_error: OnError = stop, columns: Collection[str] | None = None
) -> Iterator[tuple[str, Record]]:
    """Yields the records of a file with their places, such as ``"line 17"``.

    Args:
        path: A ``.csv``, ``.jsonl``, ``.parquet`` or ``.txt`` file, or one of these as ``.gz`` or ``.zst``, or ``-``
            for standard input: a text a line, or JSON lines where the first line is a JSON object.
        text_column: The key under which the lines of a ``.txt`` file come.
        on_error: What to do about a row that cannot be read; by default it is an error. No line may be longer than
            `LONGEST`, and no row of a ``.csv`` file: what follows one is not certain, so that always is an error.
        columns: What is needed of a ``.parquet`` file, which may have any number of columns; by default all.

    Raises:
        UserError: The file is missing, of another kind, or has an unreadable row.
    """
    if path == "-":
        yield from _stdin(text_column, on_error)
        return
    file = Path(path)
    check_readable(file)
    with _opened(file) as raw:
        if kind(file) == ".parquet":
            number = 0
            for batch in parquet_batches(file, columns)[1]:
                for record in batch.to_pylist():
                    number += 1
                    yield f"{file.name}, row {number}", record
            return
        lines = lines_of(_text(raw))
        if kind(file) == ".csv":
            yield from _csv(lines, file.name, on_error)
        elif kind(file) == ".jsonl":
            yield from _jsonl(lines, file.name, on_error)
        else:
            yield from _txt(lines, file.name, text_column, on_error)


def column_names(path: str) -> list[str]:
    """The names of the columns of a ``.parquet`` file, for messages; none for other kinds, whose rows have them.

    Args:
        path: The file.
    """
    if path == "-" or kind(Path(path)) != ".parquet":
        return []
    import pyarrow.parquet as pq

    with _opened(Path(path)) as raw, _readable_parquet(Path(path).name), pq.ParquetFile(raw) as parquet:
        return list(parquet.schema_arrow.names)


def kind(file: Path) -> str:
    """The suffix of a file, without that of its compression.

    Args:
        file: The file.
    """
    return Path(file.stem).suffix if file.suffix in COMPRESSIONS else file.suffix


def check_readable(file: Path) -> None:
    """Checks that a file is there and of a kind that can be read.

    Args:
        file: The file.

    Raises:
        UserError: It is not.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if kind(file) not in SUFFIXES:
        raise UserError(
            f"{file} is not one of {', '.join(SUFFIXES)}, nor one of these as .gz or .zst; rename or convert it"
        )


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
    found = [file for file in folder.rglob("*") if kind(file) in SUFFIXES and _is_shown(file, folder)]
    files = [file for file in found if is_inside(file, folder)]
    if len(files) < len(found):
        first = min(set(found) - set(files))
        say(f"warning: {first} is a link that leads out of {folder}, and is not read ({len(found) - len(files)} such)")
    if not files:
        raise UserError(f"the folder {path} holds no file of {', '.join(SUFFIXES)}")
    return [str(file) for file in sorted(files, key=Path.as_posix)]  # the same order on every system


def is_inside(file: Path, folder: Path) -> bool:
    """Whether what a link in a folder stands for is in that folder too.

    Args:
        file: Something in the folder.
        folder: The folder; one of the Hub's cache has its files beside it.
    """
    whole = folder.resolve()
    if whole.parent.name == "snapshots" and (whole.parent.parent / "blobs").is_dir():
        whole = whole.parent.parent
    return file.resolve().is_relative_to(whole)


def _is_shown(file: Path, folder: Path) -> bool:
    """Whether a file is none of the hidden ones, such as the parts of predictions that go into the same folder."""
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, uncompressed; those of Parquet, which is not read in order, in a temporary file."""
    try:
        with _uncompressed(file) as raw:
            if kind(file) != ".parquet" or file.suffix not in COMPRESSIONS:
                yield raw
                return
            with tempfile.TemporaryFile() as whole:
                while piece := raw.read(2**20):
                    if whole.tell() > MOST_UNPACKED:
                        raise UserError(
                            f"{file} unpacks to more than {MOST_UNPACKED / 2**30:.0f} GiB; unpack it yourself"
                        )
                    whole.write(piece)
                whole.seek(0)
                yield cast(BinaryIO, whole)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{file.name} is truncated or damaged ({error}); copy it again") from error
    except OSError as error:
        if error.strerror:
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
        raise UserError(f"{file.name} is truncated or damaged ({error}); copy it again") from error


def _uncompressed(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix == ".zst":
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(file), compression="zstd")))
    return file.open("rb")


def _text(raw: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _is_utf8(text: str, where: str, content: Any, on_error: OnError) -> bool:
    """Whether all bytes of a text could be read; if not, says which one could not."""
    found = None if text.isascii() else ESCAPED_BYTE.search(text)
    if found is None:
        return True
    byte = ord(found.group()) - 0xDC00
    reason = f": byte 0x{byte:02x} is not UTF-8 (character {found.start() + 1}); convert the file to UTF-8"
    shown = content.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(content, str) else None
    on_error(where, reason, shown)
    return False


def _stdin(text_column: str, on_error: OnError) -> Iterator[tuple[str, Record]]:
    if sys.stdin is None:
        raise UserError("standard input is closed; give --data.predict_path FILE")
    raw = getattr(sys.stdin, "buffer", None)
    lines = lines_of(sys.stdin if raw is None else _text(raw))
    first = next(lines, "")
    whole = itertools.chain([] if first == "" else [first], lines)
    if first and first.lstrip().startswith("{"):
        yield from _jsonl(whole, "standard input", on_error)
    else:
        yield from _txt(whole, "standard input", text_column, on_error)


def _txt(lines: Lines, name: str, text_column: str, on_error: OnError) -> Iterator[tuple[str, Record]]:
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        if line is None:
            on_error(where, TOO_LONG, None)
            continue
        text = line.rstrip("\r\n")
        if _is_utf8(line, where, text, on_error):
            yield where, {text_column: text}


def _jsonl(lines: Lines, name: str, on_error: OnError) -> Iterator[tuple[str, Record]]:
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        if line is None:
            on_error(where, TOO_LONG, None)
            continue
        text = line.rstrip("\r\n")
        if not text.strip() or not _is_utf8(line, where, text, on_error):
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            on_error(where, f" is not JSON ({error}); mend or remove the line", text)
            continue
        if not isinstance(record, dict):
            on_error(where, " is not a JSON object; write one object a line", text)
        elif text.count("[") + text.count("{") > MOST_LEVELS and is_nested(record, MOST_LEVELS):
            on_error(where, f" has more than {MOST_LEVELS} lists and objects in each other; make it flat", text)
        else:
            yield where, record


def _csv(lines: Lines, name: str, on_error: OnError) -> Iterator[tuple[str, Record]]:
    fed = RowLines(lines, name)
    reader = csv.reader(fed, strict=True)
    header: list[str] | None = None
    while True:
        fed.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            on_error(f"{name}, line {reader.line_num}", f" cannot be read ({error}); mend the line", None)
            continue
        where = f"{name}, line {reader.line_num}"
        if header is None:
            _is_utf8("".join(row), where, None, stop)
            header = row
        elif row and len(row) != len(header):
            on_error(
                where,
                f" has {len(row)} fields where the heading has {len(header)}; mend the line (a text with commas "
                "needs quotes)",
                row,
            )
        elif row and _is_utf8("".join(row), where, None, on_error):
            yield where, dict(zip(header, row, strict=True))
    if header is None:
        raise UserError(f"{name} is empty; its first line should name the columns")


def parquet_batches(file: Path, columns: Collection[str] | None) -> tuple[tuple[str, ...], Iterator["pa.RecordBatch"]]:
    """The names of all columns of a Parquet file, and its rows in batches.

    Args:
        file: The file.
        columns: The columns that are needed; by default all.

    Raises:
        UserError: The file cannot be read.
    """
    check_readable(file)
    names = tuple(column_names(str(file)))
    return names, _batches(file, [name for name in names if columns is None or name in columns])


def _batches(file: Path, names: list[str]) -> Iterator["pa.RecordBatch"]:
    import pyarrow.parquet as pq

    with _opened(file) as raw, _readable_parquet(file.name), pq.ParquetFile(raw) as parquet:
        yield from parquet.iter_batches(batch_size=4096, columns=names)


@contextmanager
def _readable_parquet(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid as error:
        raise UserError(f"{name} is not a readable parquet file ({error})") from error
