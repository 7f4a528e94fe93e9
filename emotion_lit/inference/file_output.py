"""A file of predictions that several processes may write together."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from emotion_lit.data.streaming import TextStream
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.inference.output_paths import check_apart
from emotion_lit.inference.output_state import Counts, State
from emotion_lit.inference.resumable_output import Parts
from emotion_lit.inference.shard import FirstEngine, Shard
from emotion_lit.inference.write_errors import clear_write_errors
from emotion_lit.inference.writers import FORMATS, Format
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say


class FileOutput:
    """Writes windows as parts of a file. All methods but `add` and `stop` are called by all processes alike.

    Args:
        path: A ``.csv``, ``.jsonl`` or ``.parquet`` file.
        stream: The texts.
        empty: A table with the columns of the file and no rows.
        form: The format; by default that of the suffix.
        shard: The shard that is written, to a file of its own next to ``path``.
    """

    def __init__(
        self, path: str, stream: TextStream, empty: pa.Table, form: Format | None = None, shard: Shard | None = None
    ) -> None:
        # A link stays, and the file that it leads to gets the rows.
        self._whole = Path(path).resolve() if Path(path).is_symlink() else Path(path)
        self._target = shard.file(self._whole) if shard else self._whole
        self._path = str(self._target) if shard else path
        self._shard = shard
        self._stream = stream
        self._empty = empty
        self._form = form
        self._apart = False  # whether each process works by itself

    def open(self, made_from: dict[str, Any], overwrite: bool, source: str) -> None:
        """See `PredictionOutput.open`."""
        state = distributed.on_rank_zero(lambda: self._opened(made_from, overwrite, source))
        if distributed.rank() > 0:
            self._parts = Parts(self._target, self._empty, self._form, self._shard, state)
        done = {number: part.digest for number, part in state.done.items()}
        self._stream.resume(done, state.rows, distributed.rank(), distributed.world_size())

    def _opened(self, made_from: dict[str, Any], overwrite: bool, source: str) -> State:
        if self._target.suffix not in FORMATS:
            raise UserError(f"prediction.path {self._path} should end in .csv, .jsonl or .parquet, or be - for stdout")
        check_apart(self._target, self._stream.files, source)
        self._parts = Parts(self._target, self._empty, self._form, self._shard)
        try:
            if self._target.is_dir():
                raise IsADirectoryError(f"{self._path} is a folder")
            state = self._parts.open(made_from, overwrite)
        except OSError as error:
            raise UserError(f"prediction.path {self._path} cannot be written: {error.strerror or error}") from error
        if state.windows:
            say(f"{state.rows:,} rows are labeled already; continuing after them")
        return state

    def choose_engine(self, choose: Callable[[str | None], str]) -> str:
        """See `PredictionOutput.choose_engine`."""

        def chosen() -> str:
            known = self._parts.state.engine
            first = FirstEngine(self._whole, self._parts.state.made_from) if self._shard else None
            engine = choose(known or (first.read() if first else None))
            if engine != known:
                self.remember_engine(engine)
            if first:
                with clear_write_errors(str(first.file)):
                    first.remember(engine)
            return engine

        return distributed.on_rank_zero(chosen)

    def remember_engine(self, engine: str) -> None:
        """See `PredictionOutput.remember_engine`."""
        if distributed.rank() == 0:
            with clear_write_errors(self._path):
                self._parts.remember_engine(engine)

    def start(self) -> None:
        """Lets each process work by itself, until `finish`."""
        self._apart = True

    def add(self, window: Window, table: pa.Table) -> None:
        """Writes a window.

        Args:
            window: The window.
            table: Its predictions.

        Raises:
            UserError: It cannot be written.
        """
        with clear_write_errors(self._path):
            self._parts.add(window, table)

    def has_failed(self) -> bool:
        """Whether another process of this run has failed."""
        return distributed.world_size() > 1 and self._parts.has_failed()

    def finish(self, limited: bool) -> Counts | None:
        """Completes the file.

        Args:
            limited: Whether the stream may have been left before its end.

        Returns:
            The numbers of rows; None if a limit has left something out, and the parts are kept.

        Raises:
            UserError: The input has changed since the start of the run, a part has been damaged, or another process
                failed.
        """
        self.meet(self._stream.error)
        counts = self._published(limited)
        if counts is None:
            self._close()
            if not self._parts.rows_kept():
                say(f"{self._path} is not written: the Trainer's limit leaves none of its parts complete")
        return counts

    def rejects(self) -> str:
        """The file of rows that could not be read."""
        return str(self._parts.rejects)

    def _published(self, limited: bool) -> Counts | None:
        stream, parts = self._stream, self._parts
        read = distributed.all_gather((stream.window_count, stream.digests[-1:]))
        if any(windows is None for windows, _ in read):
            return None
        expected = read[0] if stream.digest is None else (read[0][0], [stream.digest])

        def publish() -> Counts | None:
            if limited and not parts.has_all(stream.windows):
                return None
            if any(found != expected for found in read):
                raise UserError(
                    f"the input changed while it was read, so what is kept of {self._path} is of both versions; "
                    "label it again with --prediction.overwrite true"
                )
            with clear_write_errors(self._path):
                parts.collect({number: stream.digests[number] for number in stream.windows})
                parts.publish()
            return parts.state.counts()

        return distributed.on_rank_zero(publish)

    def meet(self, error: Exception | None = None) -> None:
        """Waits for all processes, and ends them with one line if some have failed.

        Args:
            error: The error of this one.

        Raises:
            UserError: Another one has been killed.
        """
        self._apart = False
        if error is not None and distributed.world_size() > 1:
            self._parts.report_failure()
        try:
            failed = distributed.all_gather(error is not None)
        except RuntimeError as reason:
            raise UserError(
                "another process of this command has ended; the same command resumes where it stopped"
            ) from reason
        with distributed.fail_together():
            if error is not None and failed.index(True) == distributed.rank():
                raise error

    def stop(self, error: BaseException) -> None:
        """See `PredictionOutput.stop`."""
        try:
            if self._apart and distributed.world_size() > 1:
                self._parts.report_failure()
                if isinstance(error, Exception):  # at a signal, nothing is waited for
                    with suppress(Exception):  # its own, which is raised already
                        self.meet(error)
        finally:
            self._close()

    def _close(self) -> None:
        if distributed.rank() == 0:
            kept = self._parts.rows_kept()
            self._parts.close()
            if kept:
                say(f"{kept:,} labeled rows are kept; the same command resumes after them")
