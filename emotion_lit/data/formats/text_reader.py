"""Plain-text files: a table of one column, with a row for each line."""

from collections.abc import Iterator

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.blocks import Block, BlockBuilder, OnError, Places, to_table
from emotion_lit.data.formats.encodings import decoding_error, is_plain
from emotion_lit.data.formats.lines import Chunks, decoded, read_chunks
from emotion_lit.utils.console import say_once


class TextReader:
    """Reads the lines of a text file.

    Args:
        chunks: The file.
        name: The name of the file.
        column: The name of the column.
        encoding: The encoding of the file on disk, for messages.
        on_error: Called for each line that cannot be read.
        warns: Whether to warn if the lines look like the rows of a table.
    """

    def __init__(
        self, chunks: Chunks, name: str, column: str, encoding: str, on_error: OnError, warns: bool = True
    ) -> None:
        self._chunks, self._name, self._column = chunks, name, column
        self._encoding, self._on_error = encoding, on_error
        self._line = 1
        self._tabs: int | None = None if warns else 0

    def __iter__(self) -> Iterator[Block]:
        yield from read_chunks(self._chunks, self._fast, self._careful)
        if self._tabs and self._line > 2:
            tabs = "a tab" if self._tabs == 1 else f"{self._tabs} tabs"
            say_once(
                f"warning: {self._name}: every line has {tabs}, as in a table; to read its columns, name it .tsv or "
                "set --data.separator tab"
            )

    def _count_tabs(self, chunk: bytes) -> None:
        if self._tabs == 0:
            return
        counts = {line.count(b"\t") for line in chunk.splitlines() if line}
        counts |= set() if self._tabs is None else {self._tabs}
        self._tabs = counts.pop() if len(counts) == 1 else 0

    def _fast(self, chunk: bytes) -> Block | None:
        import pyarrow as pa

        self._count_tabs(chunk)
        if not is_plain(chunk):
            return None
        texts = [line.decode() for line in chunk.splitlines()]
        numbers = range(self._line, self._line + len(texts))
        self._line += len(texts)
        table = pa.table({self._column: pa.array(texts, pa.string())})
        return Block(table, (self._column,), Places(self._name, "line", numbers))

    def _careful(self, chunk: bytes | None) -> Block:
        rows = BlockBuilder(self._name, self._on_error)
        for line in [None] if chunk is None else chunk.splitlines():
            if line is None or len(line) > lines.LONGEST:
                rows.reject(self._line, lines.too_long(), None)
            else:
                text = decoded(line).lstrip("\ufeff")
                bad = decoding_error(text, self._encoding)
                if bad is None:
                    rows.add(self._line, {self._column: text})
                else:
                    rows.reject(self._line, *bad)
            self._line += 1
        return rows.block(to_table(rows.records, [self._column]), (self._column,))
