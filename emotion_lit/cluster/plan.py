"""The plan of a labeling: which windows there are, and in which file each of them begins."""

import bisect
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from emotion_lit.cluster.storage import local_copy
from emotion_lit.data.formats.blocks import Block, OnError, leave_out, stop
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.streaming import WINDOW
from emotion_lit.data.window_reader import WindowReader
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError


@dataclass(frozen=True)
class Span:
    """The rows of a window, rejects among them.

    Args:
        number: The number of the window, from zero.
        first: The number of its first row in the input, from zero.
        size: The number of its rows.
        labeled: The number of those that can be read.
    """

    number: int
    first: int
    size: int
    labeled: int

    @property
    def name(self) -> str:
        """The name of its part: the first and the last row, so that names are in the order of the rows."""
        return f"part-{self.first:012}-{self.first + self.size - 1:012}.parquet"


@dataclass(frozen=True)
class FileWindows:
    """Windows that one process reads: those that begin in one file.

    Args:
        files: The file, and those after it into which the last window reaches.
        skip: The rows of the first file that belong to earlier windows.
        spans: The windows, which follow each other.
        wanted: The numbers of those that are to be labeled.
        max_rows: The rows of a window.
    """

    files: list[str]
    skip: int
    spans: list[Span]
    wanted: frozenset[int]
    max_rows: int = WINDOW


@dataclass(frozen=True)
class InputPlan:
    """All windows of an input.

    Args:
        files: The files, in order.
        starts: The number of the first row of each file.
        spans: The windows.
        digest: A hash of all rows.
        max_rows: The rows of a window.
    """

    files: list[str]
    starts: list[int]
    spans: list[Span]
    digest: str
    max_rows: int

    @property
    def rows(self) -> int:
        """The number of rows that can be read."""
        return sum(span.labeled for span in self.spans)

    def pieces(self, done: Collection[int]) -> Iterator[FileWindows]:
        """The windows that are left, by the file in which they begin.

        Args:
            done: The numbers of the windows that are labeled already.
        """
        for place, group in itertools.groupby(
            self.spans, lambda span: bisect.bisect_right(self.starts, span.first) - 1
        ):
            spans = list(group)
            left = [span.number for span in spans if span.number not in done]
            if left:
                spans = [span for span in spans if left[0] <= span.number <= left[-1]]
                end = bisect.bisect_left(self.starts, spans[-1].first + spans[-1].size)
                yield FileWindows(
                    self.files[place:end], spans[0].first - self.starts[place], spans, frozenset(left), self.max_rows
                )


class FileReader(WindowReader):
    """Reads windows from files of any file system; each file is copied to this machine while it is read.

    Attributes:
        starts: The number of the first row of each file that has been begun.
    """

    def __init__(self, files: list[str], settings: DataSettings) -> None:
        on_error: OnError = leave_out if settings.on_error == "skip" else stop
        columns = (settings.text_column, settings.keep_columns, settings.id_column)
        super().__init__(files, *columns, settings.table_format, on_error)
        self.starts: list[int] = []
        self._read_rows = 0

    def _blocks(self, file: str) -> Iterator[Block]:
        self.starts.append(self._read_rows)
        with local_copy(file) as path:
            for block in super()._blocks(path):
                self._read_rows += block.table.num_rows + len(block.rejects)
                yield block


def survey(
    files: list[str], settings: DataSettings, progress: Callable[[int], object], max_rows: int = WINDOW
) -> InputPlan:
    """Reads all rows once, so that an unreadable row is found before the work starts.

    Args:
        files: The files.
        settings: How they are read.
        progress: Called with the number of rows of each window.
        max_rows: The rows of a window.

    Raises:
        UserError: A row is unreadable, or has no text column; or, with ``on_error: skip``, all rows are unreadable.
    """
    reader, spans, digest = FileReader(files, settings), list[Span](), ""
    first = 0
    for window in reader.read(max_rows):
        size = len(window) + len(window.rejects)
        spans.append(Span(window.number, first, size, len(window)))
        digest = window.digest
        first += size
        if window.rejects and not any(span.labeled for span in spans):
            reject = window.rejects[0]
            raise UserError(f"none of the first {first:,} rows can be read; {reject.where}: {reject.reason}")
        progress(size)
    return InputPlan(files, reader.starts, spans, digest, max_rows)


def read_piece(piece: FileWindows, settings: DataSettings) -> Iterator[Window]:
    """Reads the windows of a piece that are to be labeled.

    Args:
        piece: The piece.
        settings: How the files are read.

    Raises:
        UserError: The files are not those of the survey.
    """
    begin, read = piece.spans[0], 0
    windows = FileReader(piece.files, settings).read(piece.max_rows, piece.skip, begin.number, begin.first)
    for span, window in zip(piece.spans, windows, strict=False):
        if (len(window) + len(window.rejects), len(window)) != (span.size, span.labeled):
            break
        read += 1
        if span.number in piece.wanted:
            yield window
    if read < len(piece.spans):
        names = ", ".join(Path(file).name for file in piece.files[:3])
        raise UserError(
            f"the input changed while it was read ({names}); label it again with --prediction.overwrite true"
        )
