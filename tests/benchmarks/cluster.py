"""Ray with one actor against one process, in turns, and the rows per second of each part of the pipeline.

The start of both is left out: each labels a short file too, and its time is subtracted.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from emotion_lit.cluster.job import Job, LoadedJob
from emotion_lit.cluster.part_folder import ROW, PartFolder
from emotion_lit.cluster.plan import InputPlan, read_piece, survey
from emotion_lit.cluster.storage import OutputFolder
from emotion_lit.cluster.window_bytes import from_bytes, to_bytes
from emotion_lit.data.batching import Batch
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.streaming import WINDOW
from emotion_lit.data.windows import Window
from emotion_lit.inference.output_columns import input_rows
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.settings import ModelSettings
from emotion_lit.utils.console import show
from emotion_lit.utils.console_tables import table
from tests.benchmarks.turns import Measures, ratios, spread, take_turns

WORDS = "what a day it was and nobody came to see how we all felt about that"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt-path", type=Path, required=True)
    parser.add_argument("--texts", type=Path, help="A file with a text on each line; by default drawn words.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-parts", action="store_true", help="Leave out Ray.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        lines = options.texts.read_text(encoding="utf-8").splitlines() if options.texts else list(drawn(options.rows))
        long, short = folder / "long.txt", folder / "short.txt"
        long.write_text("".join(f"{line}\n" for line in itertools.islice(itertools.cycle(lines), options.rows)))
        short.write_text("".join(f"{line}\n" for line in itertools.islice(itertools.cycle(lines), WINDOW)))
        measure_parts(options.ckpt_path, long if options.only_parts else short, folder)
        if not options.only_parts:
            compare(options.ckpt_path, long, short, folder, options.rounds)


def drawn(rows: int) -> Iterator[str]:
    """Sentences of 1 to 40 words."""
    draw, words = random.Random(0), WORDS.split()
    for _ in range(rows):
        yield " ".join(draw.choices(words, k=draw.randint(1, 40)))


def measure_parts(checkpoint: Path, texts: Path, folder: Path) -> None:
    """Shows how many rows each part of the pipeline does in a second of one processor."""
    torch.set_num_threads(1)
    file = checkpoints.find_checkpoint(str(checkpoint))
    stored = checkpoints.read_checkpoint(file)
    data = DataSettings(predict_path=str(texts), max_length=stored[checkpoints.DATA_KEY].get("max_length", 128))
    model = ModelSettings(**stored[checkpoints.MODEL_KEY])
    job = Job(str(file), False, data, model, str(folder / "parts"), "ray")
    parts = PartFolder(OutputFolder(job.path), {})
    loaded = LoadedJob.load(job, "cpu")
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        done = work()
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
        return done

    def probabilities(batches: list[Batch]) -> torch.Tensor:
        with torch.inference_mode():
            found = [loaded.engine(batch) for batch in batches if "input_ids" in batch]
        return torch.cat(found)

    def write(window: Window, computed: torch.Tensor) -> None:
        builder = job.builder
        rows = builder.build(input_rows(window, "id", job.text_key, ()), computed.double().numpy())
        rows = rows.append_column(ROW, pa.array(window.rows, pa.int64()))
        parts.write(plan.spans[window.number], rows, ())

    plan: InputPlan = timed("read", lambda: survey([str(texts)], data, lambda _: None))
    for piece in plan.pieces(()):
        for window in read_piece(piece, data):
            sent = timed("hand over to another process", partial(handed_over, window))
            batches = timed("tokenize and pad", partial(loaded.batches.of, sent, job.text_key))
            computed = timed("compute", partial(probabilities, batches))
            timed("write", partial(write, window, computed))
    whole = sum(seconds.values())
    rows = [[name, f"{plan.rows / taken:,.0f}", f"{taken / whole:.1%}"] for name, taken in seconds.items()]
    show(table([["part", "rows per second of one processor", "share"], *rows]))


def handed_over(window: Window) -> Window:
    """The window after its way to another process."""
    return from_bytes(to_bytes(window))


def compare(checkpoint: Path, long: Path, short: Path, folder: Path, rounds: int) -> None:
    """Shows how fast one actor of Ray is, compared with one process that has as many threads."""

    def run(source: Path, *more: str) -> float:
        target = folder / ("out" if more else "out.parquet")
        words = ["predict", f"--ckpt_path={checkpoint}", f"--data.predict_path={source}", f"--prediction.path={target}"]
        start = time.perf_counter()
        command = [sys.executable, "-m", "emotion_lit", *words, "--trainer.accelerator=cpu", *more]
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
        taken = time.perf_counter() - start
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        return taken

    def measured(*more: str) -> Measures:
        start = run(short, *more)
        return {"seconds": run(long, *more) - start, "start": start}

    peers = {"one process": measured, "Ray": lambda: measured("--prediction.cluster=ray")}
    results = take_turns(peers, rounds)
    show(f"Ray's speed, as a multiple of one process: {spread(ratios(results, 'Ray', 'one process', 'seconds'))}")


if __name__ == "__main__":
    main()
