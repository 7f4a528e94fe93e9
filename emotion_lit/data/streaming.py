"""Unlabeled texts as a stream of batches, in windows, so that memory does not grow with the input."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.data.formats.blocks import leave_out, stop
from emotion_lit.data.formats.readers import TableFormat
from emotion_lit.data.packing import Packing
from emotion_lit.data.settings import OnBadRow
from emotion_lit.data.window_batches import WindowBatches, some_of
from emotion_lit.data.window_reader import FOUND, WindowReader
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.utils import distributed
from emotion_lit.utils.prefetch import prefetched

WINDOW = 8192


class TextStream(IterableDataset[Batch]):
    """Batches of texts of similar length, read from files.

    What a batch has, `WindowBatches` tells.

    Args:
        files: The files to read, or ``-`` for standard input.
        text_column: The column of texts; None finds it in each file by its name.
        columns: Other columns that each file must have.
        id_column: The column of row ids; a column `id` may be missing.
        tokenizer: The backbone's tokenizer.
        max_length: The number of tokens after which a text is truncated.
        packing: Packs the texts of a window into batches.
        on_error: ``stop`` at a row that cannot be read, or ``skip`` it into the window's rejects.
        text_format: How text files are divided into rows and columns.
        pin_memory: Whether the batches are for a CUDA GPU.
    """

    def __init__(
        self,
        files: Sequence[str],
        text_column: str | None,
        columns: Sequence[str],
        id_column: str,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        packing: Packing,
        on_error: OnBadRow = "stop",
        text_format: TableFormat = FOUND,
        pin_memory: bool = False,
    ) -> None:
        self.files = files
        on_reject = leave_out if on_error == "skip" else stop
        self._windows = WindowReader(files, text_column, columns, id_column, text_format, on_reject)
        self.text_key = self._windows.text_key
        self.max_length = max_length
        self.packing = packing
        self._window_batches = WindowBatches(tokenizer, max_length, self.packing, pin_memory)
        self._digest: str | None = None
        self._window_count: int | None = None
        self._digests: list[str] = []
        self._error: Exception | None = None
        self._coming: Iterator[list[Batch]] | None = None
        self._first: list[Batch] | None = None
        self._done: Mapping[int, str] = {}
        self._rows_done = 0
        self._share, self._shares = 0, 1
        self._window_rows: Sequence[int] = ()
        self._shard: range | None = None

    @property
    def digest(self) -> str | None:
        """A hash of all rows, after `survey`; None for standard input."""
        return self._digest

    @property
    def digests(self) -> Sequence[str]:
        """A hash of the input up to the end of each window that has been read."""
        return self._digests

    @property
    def window_count(self) -> int | None:
        """The number of windows, when all of them have been read."""
        return self._window_count

    @property
    def windows(self) -> Sequence[int]:
        """The numbers of the windows to label, of those that have been read; a shard has some of them."""
        return range(len(self._digests)) if self._shard is None else self._shard

    @property
    def rows(self) -> int | None:
        """The number of rows to label, after `survey`; None for standard input."""
        if self._digest is None:
            return None
        return sum(
            self._window_rows if self._shard is None else self._window_rows[self._shard.start : self._shard.stop]
        )

    @property
    def rows_done(self) -> int:
        """The number of rows that an earlier run has labeled."""
        return self._rows_done

    @property
    def error(self) -> Exception | None:
        """The error that ended the stream, if several processes share it; they raise it together."""
        return self._error

    def survey(self) -> int | None:
        """Reads all rows on the first process, so that an unreadable row is found before the work starts.

        Returns:
            The number of rows; None for standard input, which can be read only once.

        Raises:
            UserError: A row is unreadable, or has no text column; or, with ``on_error: skip``, all rows are unreadable.
        """
        rows, self._digest, self._window_rows = distributed.on_rank_zero(self._surveyed)
        return rows

    def _surveyed(self) -> tuple[int | None, str | None, list[int]]:
        if "-" in self.files:
            return None, None, []
        rows, rejects, digest, windows = 0, 0, None, []
        for window in self._read():
            rows, rejects, digest = rows + len(window), rejects + len(window.rejects), window.digest
            windows.append(len(window))
            if rejects and not rows:
                first = window.rejects[0]
                raise UserError(f"none of the first {rejects:,} rows can be read; {first.where}: {first.reason}")
        return rows, digest, windows

    def keep_shard(self, number: int, count: int) -> None:
        """Leaves out all rows but those of a shard: windows that follow each other, about as many as in each other one.

        Windows are not divided, because a probability may depend on the other texts of its window in the seventh digit.

        Args:
            number: The number of the shard, from one.
            count: The number of shards.

        Raises:
            UserError: The texts come from standard input.
        """
        if self._digest is None:
            raise UserError(
                "prediction.shard reads a file several times, so standard input has no shards; save it first"
            )
        windows = len(self._window_rows)
        self._shard = range(windows * (number - 1) // count, windows * number // count)

    def resume(self, done: Mapping[int, str], rows: int = 0, share: int = 0, shares: int = 1) -> None:
        """Leaves out the windows that an earlier run has labeled, and those of other processes.

        Args:
            done: The hash of the input up to the end of each finished window, by its number; it has to be the same.
            rows: The number of rows in these windows.
            share: The number of this process, from zero.
            shares: The number of processes; each takes the remaining windows in turn.
        """
        self._done, self._rows_done, self._share, self._shares = done, rows, share, shares

    def first_batches(self, rows: int) -> list[Batch]:
        """Some batches of the first window that is not labeled yet, to try an engine on; the stream yields them again.

        Args:
            rows: The approximate number of texts.
        """
        if self._shard is not None:  # all shards try it on the same texts, so that they choose alike
            self._first = [batch for window in itertools.islice(self._read(), 1) for batch in self._batches(window)]
        elif self._first is None:
            coming = self._prepared()
            self._coming = itertools.chain([next(coming, [])], coming)
        return some_of(self._first or [], rows)

    def __iter__(self) -> Iterator[Batch]:
        try:
            for batches in prefetched(self._prepared()):
                yield from batches
            if "-" not in self.files:
                self._coming = self._first = None  # the next iteration reads the files again
        except Exception as error:
            if self._shares == 1:
                raise
            self._error = error

    def _prepared(self) -> Iterator[list[Batch]]:
        """The batches of the remaining windows. They are made once, because standard input can be read only once."""
        if self._coming is None:
            self._digests = []
            self._coming = map(self._batches, self._remaining(self._read()))
        return self._coming

    def _remaining(self, windows: Iterator[Window]) -> Iterator[Window]:
        left = 0
        for window in windows:
            self._digests.append(window.digest)
            if self._shard is not None and window.number not in self._shard:
                continue
            if window.number not in self._done:
                if left % self._shares == self._share:
                    yield window
                left += 1
            elif window.digest != self._done[window.number]:
                break
        else:
            if max(self._done, default=-1) < len(self._digests):
                self._window_count = len(self._digests)
                return
        raise UserError(
            "the input is not the one that the kept rows were made from; give the same input again, or start "
            "over with --prediction.overwrite true"
        )

    def _read(self) -> Iterator[Window]:
        return self._windows.read(WINDOW)

    def _batches(self, window: Window) -> list[Batch]:
        batches = self._window_batches.of(window, self.text_key)
        self._first = self._first or batches
        return batches
