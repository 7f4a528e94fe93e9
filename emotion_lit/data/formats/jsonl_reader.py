"""JSON Lines files: Arrow reads plain chunks; Python's json module reads all others, line by line."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.blocks import Block, BlockBuilder, OnError, Places, Record, is_json_text, to_table
from emotion_lit.data.formats.encodings import decoding_error, is_plain
from emotion_lit.data.formats.lines import Chunks, decoded, read_chunks

if TYPE_CHECKING:
    import pyarrow as pa

# Writing nested lists and objects again is recursive.
MOST_LEVELS = 64


class Repeated(dict[str, Any]):
    """A JSON object with duplicate keys, which are in ``keys_twice``."""

    keys_twice: list[str]


class JsonReader:
    """Reads the rows of a JSON Lines file.

    Args:
        chunks: The file.
        name: The name of the file.
        columns: The columns to read; None for all.
        encoding: The encoding of the file on disk, for messages.
        on_error: Called for each row that cannot be read.
    """

    def __init__(
        self, chunks: Chunks, name: str, columns: Collection[str] | None, encoding: str, on_error: OnError
    ) -> None:
        self._chunks, self._name, self._columns = chunks, name, columns
        self._encoding, self._on_error = encoding, on_error
        self._line = 1
        self._names: dict[str, None] = {}
        self._types: pa.Schema | None = None

    def __iter__(self) -> Iterator[Block]:
        yield from read_chunks(self._chunks, self._fast, self._careful)

    def _careful(self, chunk: bytes | None) -> Block:
        """Reads a chunk line by line."""
        rows = BlockBuilder(self._name, self._on_error)
        for line in [None] if chunk is None else chunk.splitlines(keepends=True):
            if line is None or len(line) > lines.LONGEST:
                rows.reject(self._line, lines.too_long(), None)
            else:
                self._add(rows, decoded(line).lstrip("\ufeff").rstrip("\r\n"))
            self._line += 1
        for record in rows.records:
            self._names |= dict.fromkeys(record)
        kept = [name for name in self._names if self._columns is None or name in self._columns]
        table = to_table(rows.records, kept, self._types)
        self._types = self._types_of(table)
        return rows.block(table, tuple(self._names))

    def _add(self, rows: BlockBuilder, text: str) -> None:
        if not text.strip():
            return
        bad = decoding_error(text, self._encoding)
        if bad is not None:
            rows.reject(self._line, *bad)
            return
        try:
            record = parse(text)
        except (ValueError, RecursionError) as error:
            rows.reject(self._line, f" is not JSON ({error}); correct or remove the line", text)
            return
        problem = problem_of(record, self._columns, text)
        if problem:
            rows.reject(self._line, problem, text)
        else:
            rows.add(self._line, record)

    def _types_of(self, table: "pa.Table") -> "pa.Schema | None":
        """The types with which Arrow can read the next rows; None if it cannot."""
        import pyarrow as pa

        if not table.num_rows or not len(table.schema) or any(map(is_json_text, table.schema)):
            return None
        missing = [name for name in self._columns or () if name not in table.schema.names]
        return pa.schema([*table.schema, *(pa.field(name, pa.null()) for name in missing)])

    def _fast(self, chunk: bytes) -> Block | None:
        """Reads a chunk with Arrow, unless Arrow might read it differently."""
        if self._types is None or not is_plain(chunk):
            return None
        found = _one_object_a_line(chunk, self._line)
        if found is None:
            return None
        numbers, ends = found
        table = self._arrow(chunk)
        if table is None or table.num_rows != len(numbers):
            return None
        block = Block(table, tuple(self._names), Places(self._name, "line", numbers))
        self._line += ends
        return block

    def _arrow(self, chunk: bytes) -> "pa.Table | None":
        import pyarrow as pa
        from pyarrow import json as arrow_json

        try:
            table = arrow_json.read_json(
                pa.BufferReader(chunk),
                arrow_json.ReadOptions(block_size=max(lines.SMALLEST_CHUNK, len(chunk) // 4)),
                arrow_json.ParseOptions(
                    explicit_schema=self._types,
                    unexpected_field_behavior="error" if self._columns is None else "ignore",
                ),
            )
            table.validate(full=True)  # half of a surrogate pair is not UTF-8
        except pa.ArrowInvalid:
            return None
        return table.select([name for name in self._names if name in table.column_names])


def parse(text: str) -> Any:
    """Decodes JSON; objects with duplicate keys become `Repeated`."""
    return DECODER.decode(text)


def problem_of(record: Any, columns: Collection[str] | None, text: str) -> str:
    """The reason why a JSON value is not a row; empty if it is one.

    Args:
        record: The decoded value.
        columns: The columns to read; None for all.
        text: The JSON.
    """
    if not isinstance(record, dict):
        return " is not a JSON object; write one object per line"
    if text.count("[") + text.count("{") > MOST_LEVELS and is_nested(record, MOST_LEVELS):
        return f" has more than {MOST_LEVELS} nested lists and objects; flatten it"
    twice = [*(record.keys_twice if isinstance(record, Repeated) else ()), *_inner_twice(record)]
    twice = [key for key in twice if columns is None or key in columns]
    return f" has the key {twice[0]!r} twice; rename or remove one of them" if twice else ""


def is_nested(value: object, levels: int) -> bool:
    """Whether lists and objects are nested more than ``levels`` deep."""
    inside = [value]
    for _ in range(levels):
        inside = [
            item
            for one in inside
            if isinstance(one, list | dict)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not inside:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    repeated = Repeated(record)
    seen: set[str] = set()
    repeated.keys_twice = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return repeated


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _inner_twice(record: Record) -> list[str]:
    """The columns that contain an object with duplicate keys."""
    return [key for key, value in record.items() if isinstance(value, dict | list) and _has_repeated(value)]


def _has_repeated(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value, Repeated) or any(map(_has_repeated, value.values()))
    return isinstance(value, list) and any(map(_has_repeated, value))


def _one_object_a_line(chunk: bytes, first: int) -> tuple[Sequence[int], int] | None:
    """The numbers of the lines that are not empty, and the number of lines; None unless each line is one object."""
    buffer = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(buffer == ord("\n"))
    count = len(ends)
    if chunk[-1:] != b"\n":
        ends = np.append(ends, len(chunk))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lasts = ends - 1
    lasts = lasts - (buffer[np.maximum(lasts, 0)] == ord("\r"))
    some = lasts >= starts
    if not (buffer[starts[some]] == ord("{")).all() or not (buffer[lasts[some]] == ord("}")).all():
        return None
    if some.all():
        return range(first, first + len(ends)), count
    return cast(Sequence[int], (np.flatnonzero(some) + first).astype(np.uint32)), count
