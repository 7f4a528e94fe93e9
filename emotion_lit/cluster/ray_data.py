"""Labels an input with Ray Data: some processes read windows, actors with the model label and write them."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from emotion_lit.cluster.job import Job, LoadedJob
from emotion_lit.cluster.part_folder import REJECTS, ROW, PartContent, PartFolder, check_address, locked
from emotion_lit.cluster.plan import FileWindows, InputPlan, Span, read_piece, survey
from emotion_lit.cluster.ray_session import Resources, need_ray, ray_session
from emotion_lit.cluster.storage import OutputFolder, input_files
from emotion_lit.cluster.window_bytes import from_bytes, to_bytes
from emotion_lit.cluster.window_probabilities import probabilities_of
from emotion_lit.data import streaming
from emotion_lit.data.batching import Batch
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.window_batches import some_of
from emotion_lit.errors import UserError
from emotion_lit.inference.engine_candidates import EngineRequest, choose_for_input
from emotion_lit.inference.engines import TORCH
from emotion_lit.inference.export_contract import check_weights
from emotion_lit.inference.export_loader import Export
from emotion_lit.inference.output_columns import input_rows
from emotion_lit.inference.output_paths import check_apart
from emotion_lit.inference.output_state import Counts
from emotion_lit.inference.write_errors import clear_write_errors
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.utils.console import progress_bar, say

# Processes that read files at the same time, and the windows that wait for an actor; each is about a megabyte.
READERS = 4
BLOCK_BYTES = 2**16


def label(job: Job) -> None:
    """Labels an input on a cluster, or goes on where an earlier run of the same command stopped.

    Args:
        job: What is labeled, and how.

    Raises:
        UserError: The input, the output or the cluster cannot be used.
    """
    need_ray()
    address, source = check_address(job.path), job.data.predict_path
    if source is None or source == "-":
        raise UserError("prediction.cluster reads files, so standard input cannot be labeled; save it first")
    files = input_files(source)
    folder = OutputFolder(address)
    if folder.is_local:
        check_apart(Path(address) / "part.parquet", files, source)
        Path(address).mkdir(parents=True, exist_ok=True)
    with locked(folder):
        with progress_bar("read", None) as bar:
            plan = survey(files, job.data, bar.update, streaming.WINDOW)
        parts = PartFolder(folder, job.made_from(_weights_sha256(job), plan.digest))
        parts.open(job.overwrite)
        _label(job, parts, plan).report(job.path, f"{job.path}/{REJECTS}")


def _weights_sha256(job: Job) -> str:
    if job.is_export:
        export = Export.read(job.checkpoint)
        return check_weights(export.folder, export.contract)
    return str(checkpoints.read_checkpoint(Path(job.checkpoint))[checkpoints.KEY]["weights_sha256"])


def _label(job: Job, parts: PartFolder, plan: InputPlan) -> Counts:
    """Labels the windows that are left."""
    done = parts.whole(plan.spans)
    rows_done = sum(part.rows for part in done.values())
    if done:
        say(f"{rows_done:,} rows are labeled already; continuing after them")
    if len(done) < len(plan.spans):
        engine = _engine(job, parts, plan)
        with (
            ray_session(job.cluster, job.actors, job.dashboard) as resources,
            progress_bar("predict", plan.rows, rows_done) as bar,
        ):
            pieces = list(plan.pieces(done))
            try:
                for rows, message in _run(job, parts, engine, pieces, resources):
                    bar.update(rows)
                    if message:
                        say(message)
                        parts.remember_engine(TORCH)
            except BaseException:
                kept = sum(part.rows for part in parts.whole(plan.spans).values())
                say(f"{kept:,} labeled rows are kept; the same command resumes after them")
                raise
    return parts.complete(plan.spans)


def _engine(job: Job, parts: PartFolder, plan: InputPlan) -> str:
    """The engine of all actors; it is chosen once, on the first window, and remembered."""
    if job.engine == TORCH or job.is_export:
        return TORCH
    loaded = LoadedJob.load(job, "cpu")
    if loaded.trained is None:  # an export, which has its own engine
        return TORCH
    first = plan.spans[0]
    piece = FileWindows(plan.files, 0, [first], frozenset([first.number]), plan.max_rows)

    def first_batches(rows: int) -> Sequence[Batch]:
        windows = list(read_piece(piece, job.data))
        return some_of([batch for window in windows for batch in loaded.batches.of(window, job.text_key)], rows)

    wanted = EngineRequest(job.engine, job.quantize, job.try_bf16)
    device = "cpu" if job.accelerator == "cpu" or not torch.cuda.is_available() else "cuda"
    checkpoint = Path(job.checkpoint)
    engine = choose_for_input(wanted, loaded.trained, first_batches, plan.rows, checkpoint, device, parts.engine)
    if engine != parts.engine:
        parts.remember_engine(engine)
    say(f"engine: {engine}")
    return engine


def _run(
    job: Job, parts: PartFolder, engine: str, pieces: Iterable[FileWindows], resources: Resources
) -> Iterator[tuple[int, str]]:
    """Yields the number of rows of each window when it is written, and what there is to say about it."""
    import ray

    on_gpus = job.accelerator != "cpu" and resources.gpus > 0
    actors, threads = resources.actors(job.actors, on_gpus)
    say(f"actors: {actors}, each with {'a GPU' if on_gpus else f'{threads} thread' + 's' * (threads > 1)}")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES  # a window goes on as soon as it is read
    items = [{"piece": pickle.dumps(piece)} for piece in pieces]
    windows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Reader(job.data), batch_size=1, num_cpus=0, compute=ray.data.TaskPoolStrategy(size=min(READERS, len(items)))
    )
    labeled = windows.map_batches(
        Labeler,
        fn_constructor_args=(job, parts, engine, threads),
        batch_size=1,
        num_cpus=threads,
        num_gpus=1 if on_gpus else None,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )
    for row in labeled.iter_rows():
        if row["error"]:
            raise UserError(row["error"])
        yield int(row["rows"]), str(row["message"])


class Reader:
    """Reads the windows of pieces; Ray calls it.

    Args:
        settings: How the files are read.
    """

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The windows of a piece, each with its place in the input.

        Args:
            batch: A piece.
        """
        for content in batch["piece"]:
            piece = pickle.loads(content)  # noqa: S301, which the driver has written
            spans = {span.number: span for span in piece.spans}
            try:
                for window in read_piece(piece, self.settings):
                    yield {"span": [pickle.dumps(spans[window.number])], "window": [to_bytes(window)], "error": [""]}
            except UserError as error:
                yield {"span": [b""], "window": [b""], "error": [str(error)]}


class Labeler:
    """An actor: loads the model once, then labels windows, and writes each as a part.

    Args:
        job: What is labeled, and how.
        parts: Where it is written.
        engine: One of `ENGINES`.
        threads: The number of threads.
    """

    def __init__(self, job: Job, parts: PartFolder, engine: str, threads: int) -> None:
        self.job, self.parts, self.engine, self.threads = job, parts, engine, threads
        self.builder = job.builder
        self._told = False

    @cached_property
    def loaded(self) -> LoadedJob:
        """The model; it is loaded on the first window, because Ray hides an error while an actor is made."""
        torch.set_num_threads(self.threads)
        device = "cuda" if self.job.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        return LoadedJob.load(self.job, device, self.engine)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Labels and writes windows.

        Args:
            batch: The windows.

        Returns:
            The number of rows of each; a message if another engine computes from now on; and an error of the user's,
            of which Ray itself would pass on a traceback.
        """
        error, rows = next(filter(None, batch["error"]), ""), [0] * len(batch["error"])
        if not error:
            try:
                windows = zip(batch["span"], batch["window"], strict=True)
                rows = [self._write(pickle.loads(span), content).rows for span, content in windows]  # noqa: S301
            except UserError as raised:
                error = str(raised)
        message = ""
        if not error and self.loaded.fell_back and not self._told:
            message, self._told = f"{self.engine} is no longer used on one actor; it continues with PyTorch", True
        return {"rows": rows, "message": [message] * len(rows), "error": [error] * len(rows)}

    def _write(self, span: Span, content: bytes) -> PartContent:
        window, data = from_bytes(content), self.job.data
        classes, key = len(self.job.model.labels), self.job.text_key
        predicted = probabilities_of(window, key, self.loaded.batches, self.loaded.compute, classes)
        table = self.builder.build(input_rows(window, data.id_column, key, self.builder.kept), *predicted)
        table = table.append_column(ROW, pa.array(window.rows, pa.int64()))
        with clear_write_errors(self.job.path):
            return self.parts.write(span, table, window.rejects)
