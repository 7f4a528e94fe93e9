"""Predictions on standard output, as JSON lines."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from emotion_lit.data.streaming import TextStream
from emotion_lit.data.windows import Window
from emotion_lit.inference.output_columns import unlabeled_rows
from emotion_lit.inference.output_paths import check_apart
from emotion_lit.inference.output_state import Counts
from emotion_lit.inference.write_errors import STDOUT, clear_write_errors
from emotion_lit.inference.writers import json_lines, to_bytes
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say
from emotion_lit.utils.streams import check_stdout, write_result


class StdoutOutput:
    """Writes windows to standard output, with the methods of `FileOutput`; nothing is kept for a later run.

    Args:
        stream: The texts.
    """

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._counts = Counts()

    def open(self, made_from: dict[str, Any], overwrite: bool, source: str) -> None:
        """Checks that it can be written."""

        def check() -> None:
            check_apart(None, self._stream.files, source)
            check_stdout()

        distributed.on_rank_zero(check)

    def choose_engine(self, choose: Callable[[str | None], str]) -> str:
        """The engine; there is no earlier run."""
        return choose(None)

    def remember_engine(self, engine: str) -> None:
        """Does nothing: there is no later run."""

    def start(self) -> None:
        """Does nothing: there is one process."""

    def add(self, window: Window, table: pa.Table) -> None:
        """Writes a window.

        Args:
            window: The window.
            table: Its predictions.

        Raises:
            UserError: It cannot be written.
        """
        with clear_write_errors(STDOUT):
            write_result(str(to_bytes(json_lines(table)), "utf-8"))
        for reject in window.rejects:
            say(f"skipped: {reject.where}: {reject.reason}")
        unlabeled = window.rows[unlabeled_rows(table)] + 1
        first = int(unlabeled[0]) if len(unlabeled) else 0
        self._counts += Counts(len(window), len(window.rejects), len(unlabeled), first)

    def has_failed(self) -> bool:
        """No: there is one process."""
        return False

    def meet(self) -> None:
        """Does nothing: there is one process."""

    def finish(self, limited: bool) -> Counts:
        """The numbers of rows."""
        return self._counts

    def rejects(self) -> str:
        """Nothing: they are reported as they come."""
        return ""

    def stop(self, error: BaseException) -> None:
        """Does nothing: nothing is kept."""
