"""Tables of one column: the lines of a file of text."""

from collections.abc import Iterator

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.blocks import Block, OnError, Places, Rows, to_table
from emotion_lit.data.formats.decoding_errors import unreadable
from emotion_lit.data.formats.encodings import is_plain
from emotion_lit.data.formats.lines import Pieces, decoded
from emotion_lit.utils.console import say_once


class TextReader:
    """Reads the lines of a file of text.

    Args:
        pieces: The file.
        name: Its name.
        column: The name of the column.
        encoding: Of the file as it is, for messages.
        on_error: Called for each line that cannot be read.
        warns: Whether to warn of lines that are the rows of a table.
    """

    def __init__(
        self, pieces: Pieces, name: str, column: str, encoding: str, on_error: OnError, warns: bool = True
    ) -> None:
        self._pieces, self._name, self._column = pieces, name, column
        self._encoding, self._on_error = encoding, on_error
        self._line = 1
        self._tabs: int | None = None if warns else 0

    def __iter__(self) -> Iterator[Block]:
        while (piece := self._pieces.take()) != b"":
            self._check_table(piece or b"")
            block = self._fast(piece) if piece else None
            yield block or self._careful(piece)
            self._pieces.grow()
        if self._tabs and self._line > 2:
            tabs = "a tab" if self._tabs == 1 else f"{self._tabs} tabs"
            say_once(
                f"warning: {self._name}: every line has {tabs}, as a table has; its columns are read if it is named "
                ".tsv, or with --data.separator tab"
            )

    def _check_table(self, piece: bytes) -> None:
        if self._tabs == 0:
            return
        counts = {line.count(b"\t") for line in piece.splitlines() if line}
        counts |= set() if self._tabs is None else {self._tabs}
        self._tabs = counts.pop() if len(counts) == 1 else 0

    def _fast(self, piece: bytes) -> Block | None:
        import pyarrow as pa

        if not is_plain(piece):
            return None
        texts = [line.decode() for line in piece.splitlines()]
        numbers = range(self._line, self._line + len(texts))
        self._line += len(texts)
        table = pa.table({self._column: pa.array(texts, pa.string())})
        return Block(table, (self._column,), Places(self._name, "line", numbers))

    def _careful(self, piece: bytes | None) -> Block:
        rows = Rows(self._name, self._on_error)
        for line in [None] if piece is None else piece.splitlines():
            if line is None or len(line) > lines.LONGEST:
                rows.reject(self._line, lines.too_long(), None)
            else:
                text = decoded(line).lstrip("\ufeff")
                bad = unreadable(text, self._encoding)
                if bad is None:
                    rows.add(self._line, {self._column: text})
                else:
                    rows.reject(self._line, *bad)
            self._line += 1
        return rows.block(to_table(rows.records, [self._column]), (self._column,))
