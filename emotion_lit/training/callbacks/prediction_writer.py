"""Streams predictions to a file, in the order of the input."""

import errno
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt

from emotion_lit import __version__
from emotion_lit.data.streaming import OnBadRow, TextStream
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import TORCH
from emotion_lit.inference.output_paths import check_apart
from emotion_lit.inference.plain_values import plain
from emotion_lit.inference.resumable_output import Parts, State
from emotion_lit.inference.rows import RowMaker, is_unlabelled
from emotion_lit.inference.writers import FORMATS, Columns, Csv, json_line
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import distributed, platforms, signals
from emotion_lit.utils.console import say
from emotion_lit.utils.paths import expanded
from emotion_lit.utils.streams import check_stdout, write_result

STDOUT = "-"


class PredictionWriter(pl.Callback):
    """Writes a row per text: `id`, `text`, `label`, `score`, a probability `p_<label>` per class, and a `note`.

    Args:
        path: A `.csv`, `.jsonl` or `.parquet` file, or - for JSON lines on stdout. It grows in a hidden folder
            beside it; broken off, the same command goes on where it stopped. Several processes share the work.
        engine: What computes: `torch`, `onnx` (ONNX Runtime), or `auto`, which tries them for a moment on the texts
            themselves, in half precision too where that agrees, and takes the fastest.
        quantize: `int8` for 8-bit products in ONNX Runtime, where 99% of the labels stay the same.
        top_k: The so many most probable classes get columns `label_2`, `score_2` and so on.
        threshold: Below this probability the label is `uncertain`.
        probabilities: Whether to write the columns `p_<label>`.
        overwrite: Whether to replace an output that is there, and to throw away what is kept of one that was made from
            something else.
        on_error: What to do about a row that cannot be read: `stop`, or `skip` it into `<path>.rejects.jsonl`.
        escape_formulas: Whether a `.csv` gets a `'` before texts that a spreadsheet would run, because they begin with
            `=`, `+`, `-`, `@`, a tab or the end of a line. Whoever reads the texts has to take it off.
    """

    def __init__(
        self,
        path: str = STDOUT,
        engine: Literal["torch", "onnx", "auto"] = "torch",
        quantize: Literal["none", "int8"] = "none",
        top_k: int = 1,
        threshold: float = 0.0,
        probabilities: bool = True,
        overwrite: bool = False,
        on_error: OnBadRow = "stop",
        escape_formulas: bool = False,
    ) -> None:
        if top_k < 1:
            raise UserError(f"prediction.top_k is {top_k}; it should be at least 1")
        if not 0 <= threshold <= 1:
            raise UserError(f"prediction.threshold is {threshold}; it should be from 0 to 1")
        if escape_formulas and Path(path).suffix != ".csv":
            raise UserError(f"prediction.escape_formulas is for .csv alone; prediction.path is {path}")
        if quantize == "int8" and engine == "torch":
            raise UserError("prediction.quantize int8 needs --prediction.engine onnx, or auto")
        self.path = expanded(path)
        self.engine = engine
        self.quantize = quantize
        self.top_k = top_k
        self.threshold = threshold
        self.probabilities = probabilities
        self.overwrite = overwrite
        self.on_error = on_error
        self.escape_formulas = escape_formulas
        self.parts: Parts | None = None
        self._active = False
        self._found: list[npt.NDArray[np.float64] | None] = []
        self._arrived = 0
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._counts = {"rows": 0, "rejects": 0, "unlabelled": 0}
        self._apart = False  # whether each process is at work by itself

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Opens the output, so that a path that cannot be written is found before the work starts.

        Raises:
            UserError: It cannot be written, or its suffix is not known.
        """
        if stage != "predict":
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        self._maker = RowMaker(model, data, self.top_k, self.threshold, self.probabilities)
        state = distributed.on_rank_zero(lambda: self._opened(model, data, str(trainer.precision)))
        if self.parts is None and state is not None:  # on another process than the first
            self.parts = self._new_parts(_target(self.path), self._maker.columns())
            self.parts.state = state
        if state is not None:
            done = {number: part.digest for number, part in state.done.items()}
            data.stream.resume(done, distributed.rank(), distributed.world_size())
            data.rows_done = state.rows
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._active = True

    def _opened(self, model: EmotionClassifier, data: EmotionDataModule, precision: str) -> State | None:
        """Opens the output; how far it is, where it is a file."""
        columns = self._maker.columns()
        target = None if self.path == STDOUT else _target(self.path)
        if target is not None and target.suffix not in FORMATS:
            raise UserError(f"prediction.path {self.path} should end in .csv, .jsonl or .parquet, or be - for stdout")
        check_apart(target, data.stream.files, data.settings.predict_path or STDOUT)
        if target is None:
            check_stdout()
            return None
        made_from = {
            "the version of emotion_lit": __version__,
            "the checkpoint": [
                model.weights_sha256,
                model.labels,
                model.settings.temperature,
                model.settings.threshold,
            ],
            "the input": data.stream.digest,
            "a setting of the data": [
                data.settings.max_length,
                data.settings.tokens_per_batch,
                data.settings.text_column,
                data.settings.id_column,
            ],
            "trainer.precision": precision,
            "prediction.engine": [self.engine, self.quantize],
            "a setting of the prediction": [list(columns), self.threshold, self.on_error, self.escape_formulas],
        }
        self.parts = self._new_parts(target, columns)
        try:
            if target.is_dir():
                raise IsADirectoryError(f"{self.path} is a folder")
            state = self.parts.open(made_from, self.overwrite)
        except OSError as error:
            raise UserError(f"prediction.path {self.path} cannot be written: {error.strerror or error}") from error
        if state.windows:
            say(f"{state.rows:,} rows are labelled already; going on after them")
        return state

    def _new_parts(self, target: Path, columns: Columns) -> Parts:
        return Parts(target, columns, Csv(escape=True) if self.escape_formulas else None)

    def decide(self, choose: Callable[[str | None], str]) -> str:
        """The engine that computes, on all processes.

        Args:
            choose: Chooses, on the first process; it is told the engine of the earlier run that this one goes on with.
        """
        parts = self.parts
        if parts is None:
            return choose(None)
        parts.state.engine = distributed.on_rank_zero(lambda: self._decided(parts, choose))
        return parts.state.engine

    def _decided(self, parts: Parts, choose: Callable[[str | None], str]) -> str:
        earlier = parts.state.engine
        engine = choose(earlier)
        if engine != earlier:
            self._remember(parts, engine)
        return engine

    def _remember(self, parts: Parts, engine: str) -> None:
        with self._clear_errors():
            parts.remember_engine(engine)

    def go_on_with_torch(self) -> None:
        """Lets a later run begin with PyTorch, where an engine has died."""
        if self.parts is not None and distributed.rank() == 0:
            self._remember(self.parts, TORCH)

    def on_predict_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets each process work by itself."""
        self._apart = True
        if distributed.world_size() > 1:
            signals.take_over()  # Lightning's own handler waits for the first process, which may have had no signal

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Writes a window when its last batch has come; batches come by length."""
        if not self._active or self._thread is None:
            return
        window: Window = batch["window"]
        if not self._arrived:
            self._found = [None] * len(window)
        if "input_ids" in batch:
            for place, scores in zip(batch["places"], outputs.cpu().double().numpy(), strict=True):
                self._found[place] = scores
        self._arrived += len(batch["places"])
        if self._arrived == len(window):
            self._wait()
            self._writing = self._thread.submit(self._write, window, self._found)
            self._arrived = 0
            if distributed.world_size() > 1 and self.parts is not None and self.parts.has_failed():
                self._wait()
                self._meet(None)

    def _write(self, window: Window, found: Sequence[npt.NDArray[np.float64] | None]) -> None:
        rows = self._maker.rows(window, found)
        unlabelled = [place + 1 for place, row in zip(window.rows, rows, strict=True) if is_unlabelled(row)]
        rejects = [plain(asdict(reject)) for reject in window.rejects]
        if self.parts is not None:
            kept = self._maker.kept(window)
            self.parts.add(window.number, rows, rejects, unlabelled, window.digest, kept)
            return
        write_result("".join(json_line(row) for row in rows))
        for reject in window.rejects:
            say(f"skipped: {reject.where}: {reject.reason}")
        for key, more in (("rows", rows), ("rejects", rejects), ("unlabelled", unlabelled)):
            self._counts[key] += len(more)
        self._counts["first_unlabelled"] = self._counts.get("first_unlabelled") or next(iter(unlabelled), 0)

    def _wait(self) -> None:
        """Waits until the window before is written.

        Raises:
            UserError: It cannot be written.
        """
        writing, self._writing = self._writing, None
        if writing is None:
            return
        with self._clear_errors():
            writing.result()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except PermissionError as error:
            raise UserError(
                f"{self.path} cannot be written: {error.strerror or error}; close the program that has it open, or "
                "give it leave, and run the same command again"
            ) from error
        except OSError as error:
            if self.path == STDOUT and error.errno == errno.EINVAL and platforms.is_windows():
                raise BrokenPipeError(*error.args) from error  # what Windows says of a closed pipe
            raise UserError(f"{self.path} cannot be written: {error.strerror or error}; make room for it") from error

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the complete file under its name."""
        if not self._active:
            return
        self._wait()
        if self.parts is not None:
            data = data_of(self, trainer)
            self._meet(data.stream.error)
            limited = bool(trainer.fast_dev_run) or trainer.limit_predict_batches != 1.0  # type: ignore[attr-defined]
            counts = self._published(data.stream, self.parts, limited)
            if counts is None:
                self._stop()
                if not self.parts.rows_kept():
                    say(f"{self.path} is not written: the Trainer's limit leaves none of its parts complete")
                return
            self._counts = counts
        self._end()
        if distributed.rank() == 0:
            self._report(self._counts)

    def _report(self, counts: dict[str, int]) -> None:
        where = "stdout" if self.path == STDOUT else self.path
        rejected = ""
        if counts["rejects"]:
            kept = f"; they are in {self.parts.rejects}" if self.parts else ""
            rejected = f", {counts['rejects']:,} could not be read{kept}"
        if counts["unlabelled"]:
            say(
                f"warning: {counts['unlabelled']:,} rows have no label, and their note says why; the first is row "
                f"{counts['first_unlabelled']}"
            )
        say(f"{counts['rows']:,} rows written to {where}{rejected}")

    def _meet(self, error: Exception | None) -> None:
        """Waits for all processes, and ends them with one line where some have failed.

        Args:
            error: Why this one has.

        Raises:
            UserError: Another one has been killed.
        """
        self._apart = False
        if error is not None and self.parts is not None and distributed.world_size() > 1:
            self.parts.say_failed()
        try:
            failed = distributed.all_gather(error is not None)
        except RuntimeError as reason:
            raise UserError(
                "another process of this command has ended; the same command goes on where it stopped"
            ) from reason
        with distributed.fail_together():
            if error is not None and failed.index(True) == distributed.rank():
                raise error

    def _published(self, stream: TextStream, parts: Parts, limited: bool) -> dict[str, int] | None:
        """Completes the output; its counts, or None where a limit of the Trainer's has left something.

        Raises:
            UserError: The input is not what it was when the work began, or a part has been damaged.
        """
        read = distributed.all_gather((stream.windows, stream.digests[-1:]))
        if any(windows is None for windows, _ in read):
            return None
        expected = read[0] if stream.digest is None else (read[0][0], [stream.digest])

        def publish() -> dict[str, int] | None:
            if limited and not parts.has_all(len(stream.digests)):
                return None
            if any(found != expected for found in read):
                raise UserError(
                    f"the input changed while it was read; label it anew with --prediction.overwrite true, or what is "
                    f"kept of {self.path} is of both"
                )
            with self._clear_errors():
                parts.collect(stream.digests)
                parts.publish()
            return parts.state.counts()

        return distributed.on_rank_zero(publish)

    def _end(self) -> None:
        self._active = False
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keeps what was written, and tells the other processes.

        Raises:
            Elsewhere: Another one has failed too, and says why.
        """
        if not self._active:
            return
        self._end()
        try:
            if self._apart and self.parts is not None and distributed.world_size() > 1:
                self.parts.say_failed()
                if isinstance(exception, Exception):  # and no signal, at which nothing is waited for
                    with suppress(Exception):  # its own, which is raised already
                        self._meet(exception)
        finally:
            self._stop()

    def _stop(self) -> None:
        self._end()
        if self.parts is not None and distributed.rank() == 0:
            kept = self.parts.rows_kept()
            self.parts.close()
            if kept:
                say(f"{kept:,} labelled rows are kept; the same command goes on after them")


def _target(path: str) -> Path:
    """What a link stands for gets the rows, and the link stays."""
    return Path(path).resolve() if Path(path).is_symlink() else Path(path)
