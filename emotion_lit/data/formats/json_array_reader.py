"""JSON files with one array of records, which are read one by one, so that memory stays bounded."""

import codecs
from collections.abc import Collection, Iterator
from typing import Any

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.blocks import Block, BlockBuilder, OnError, to_table
from emotion_lit.data.formats.encodings import decoding_error
from emotion_lit.data.formats.jsonl_reader import DECODER, problem_of
from emotion_lit.data.formats.lines import Bytes
from emotion_lit.errors import UserError

BLANKS = " \t\r\n\ufeff"
BLOCK_ROWS = 8192


class ArrayReader:
    """Reads the records of a file that is one JSON array.

    Args:
        raw: The file, as UTF-8.
        name: The name of the file.
        columns: The columns to read; None for all.
        encoding: The encoding of the file on disk, for messages.
        on_error: Called for each record that cannot be read.
    """

    def __init__(
        self, raw: Bytes, name: str, columns: Collection[str] | None, encoding: str, on_error: OnError
    ) -> None:
        self._raw, self._name, self._columns = raw, name, columns
        self._encoding, self._on_error = encoding, on_error
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._place, self._ended = "", 0, False

    def __iter__(self) -> Iterator[Block]:
        number = 0
        rows = BlockBuilder(self._name, self._on_error, "record")
        self._place += self._next() == "["
        while self._next() not in ("]", ""):
            number += 1
            if number > 1:
                self._expect(",", number - 1)
            self._next()
            self._add(rows, number)
            if len(rows) >= BLOCK_ROWS:
                yield self._block(rows)
                rows = BlockBuilder(self._name, self._on_error, "record")
        self._expect("]", number)
        if self._next():
            raise UserError(f"{self._name}: something follows the end of the array; remove it")
        if len(rows):
            yield self._block(rows)

    def _next(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            rest = self._text[self._place : self._place + 2**10]
            blanks = len(rest) - len(rest.lstrip(BLANKS))
            self._place += blanks
            if blanks < len(rest):
                return self._text[self._place]
            if self._place >= len(self._text) and not self._more(2**18):
                return ""

    def _more(self, size: int) -> bool:
        """Reads more of the file; returns False at the end."""
        if self._ended:
            return False
        data = self._raw.read(size)
        self._ended = not data
        self._text = self._text[self._place :] + self._decoder.decode(data, final=self._ended)
        self._place = 0
        return True

    def _expect(self, character: str, number: int) -> None:
        if self._next() != character:
            what = "the end of the array is missing" if not self._next() else f"{character!r} is missing"
            raise UserError(f"{self._name}, record {number}: {what} after it; correct the file, or copy it again")
        self._place += 1

    def _add(self, rows: BlockBuilder, number: int) -> None:
        record, end = self._decoded(number)
        text = self._text[self._place : end]
        self._place = end
        bad = decoding_error(text, self._encoding)
        problem = problem_of(record, self._columns, text)
        if bad is not None:
            rows.reject(number, *bad)
        elif problem:
            rows.reject(number, problem.replace("line", "record"), text)
        else:
            rows.add(number, record)

    def _decoded(self, number: int) -> tuple[Any, int]:
        """The next record, and its end; reads on until it is complete."""
        while True:
            try:
                record, end = DECODER.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._place > lines.LONGEST or not self._more(max(2**18, len(self._text))):
                    reason = str(error).split(": line ")[0]
                    raise UserError(
                        f"{self._name}, record {number} is not JSON ({reason}); correct it, because the "
                        "records after it cannot be read"
                    ) from error
                continue
            if end < len(self._text) or not self._more(2**18):
                return record, end

    def _block(self, rows: BlockBuilder) -> Block:
        names = tuple(dict.fromkeys(key for record in rows.records for key in record))
        kept = [name for name in names if self._columns is None or name in self._columns]
        return rows.block(to_table(rows.records, kept), names)
