"""Predictions on their way to a file or to standard output, in the order of the input."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.data.streaming import TextStream
from emotion_lit.inference.collected_window import CollectedWindow
from emotion_lit.inference.file_output import FileOutput
from emotion_lit.inference.output_columns import TableBuilder, input_rows
from emotion_lit.inference.output_state import Counts
from emotion_lit.inference.shard import Shard
from emotion_lit.inference.stdout_output import StdoutOutput
from emotion_lit.inference.write_errors import STDOUT
from emotion_lit.inference.writers import Csv
from emotion_lit.utils import distributed
from emotion_lit.utils.commands import PROGRAM, command_line
from emotion_lit.utils.console import say


class PredictionOutput:
    """Writes the predictions for a stream of texts, in the order of the input.

    A window is written when its last batch has come, in a thread, while the next one is computed. Several processes may
    share the work. The calls are `open`, then `add` for each batch, then `finish`, or `stop` after an error::

        output = PredictionOutput("out.csv", stream, TableBuilder(decision))
        output.open(made_from)
        for batch in stream:
            output.add(batch, probabilities_of(batch))
        output.finish()

    Args:
        path: A ``.csv``, ``.jsonl`` or ``.parquet`` file, or ``-`` for JSON lines on standard output.
        stream: The texts.
        builder: Builds the rows.
        id_column: The column of row ids.
        escape_formulas: Whether to put a ``'`` before texts in CSV that a spreadsheet would run as a formula.
        shard: The shard to which the stream is limited, for the name of its file.
    """

    def __init__(
        self,
        path: str,
        stream: TextStream,
        builder: TableBuilder,
        id_column: str = "id",
        escape_formulas: bool = False,
        shard: Shard | None = None,
    ) -> None:
        self._path = path
        self._shard = shard
        self._stream = stream
        self._builder = builder
        self._id_column = id_column
        form = Csv(escape=True) if escape_formulas else None
        self._sink: FileOutput | StdoutOutput = (
            StdoutOutput(stream) if path == STDOUT else FileOutput(path, stream, builder.empty(), form, shard)
        )
        self._collected: CollectedWindow | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None
        self._is_open = False

    def open(self, made_from: dict[str, Any], overwrite: bool = False, source: str = STDOUT) -> None:
        """Opens the output, or resumes that of an earlier run; the stream then skips the finished rows.

        Args:
            made_from: What decides the bytes of the output, by the name that a message gives it, as JSON takes it. A
                run only continues after rows that were made from the same.
            overwrite: Whether an output that is there may be replaced, and the parts of another one thrown away.
            source: The file or folder of the texts, as it was given.

        Raises:
            UserError: The output cannot be written, already exists, or is one of the inputs.
        """
        self._sink.open(made_from, overwrite, source)
        self._is_open = True

    def choose_engine(self, choose: Callable[[str | None], str]) -> str:
        """The engine that computes, on all processes.

        Args:
            choose: Chooses it, on the first process, given the engine of the earlier run that this one resumes.
        """
        return self._sink.choose_engine(choose)

    def remember_engine(self, engine: str) -> None:
        """Stores the engine, with which a later run has to resume.

        Args:
            engine: Its name.
        """
        self._sink.remember_engine(engine)

    def start(self) -> None:
        """Lets each process work by itself, until `finish`."""
        self._sink.start()

    def add(self, batch: Batch, probabilities: Tensor) -> None:
        """Adds the predictions for a batch.

        Args:
            batch: A batch of the stream.
            probabilities: ``[rows, classes]``; not used for a batch of rows without a text.

        Raises:
            UserError: An earlier window cannot be written.
        """
        if not self._is_open:
            return
        if self._collected is None:
            self._collected = CollectedWindow(batch["window"], len(self._builder.decision.labels))
        self._collected.add(batch, probabilities)
        if self._collected.is_complete:
            self._collected.fetch()
            self._wait()
            self._writing = self._thread.submit(self._write, self._collected)
            self._collected = None
            if self._sink.has_failed():
                self._wait()
                self._sink.meet()

    def _write(self, found: CollectedWindow) -> None:
        rows = input_rows(found.window, self._id_column, self._stream.text_key, self._builder.kept)
        self._sink.add(found.window, self._builder.build(rows, found.probabilities(), found.notes))

    def _wait(self) -> None:
        """Waits until the window before is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def finish(self, limited: bool = False) -> None:
        """Completes the output, and reports what was written.

        Args:
            limited: Whether the stream may have been left before its end; then the parts are kept for a later run.

        Raises:
            UserError: The output cannot be written, the input changed meanwhile, or another process failed.
        """
        if not self._is_open:
            return
        self._wait()
        counts = self._sink.finish(limited)
        self._end()
        if counts is not None and distributed.rank() == 0:
            self._report(counts)

    def _report(self, counts: Counts) -> None:
        where = "stdout" if self._path == STDOUT else self._path
        if self._shard:
            where = str(self._shard.file(Path(self._path)))
        counts.report(where, self._sink.rejects())
        if self._shard:
            command = command_line(*PROGRAM, "join", self._path)
            say(f"when all {self._shard.count} shards are complete, join them with: {command}", wrap=False)

    def stop(self, error: BaseException) -> None:
        """Keeps what was written, after an error, and tells the other processes.

        Args:
            error: The error.

        Raises:
            FailedElsewhere: Another one has failed too, and reports its error.
        """
        if self._is_open:
            self._end()
            self._sink.stop(error)

    def _end(self) -> None:
        self._is_open = False
        self._thread.shutdown(wait=True)
