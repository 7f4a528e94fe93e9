"""Everything that is to be measured on a GPU, in one command and at most eight minutes.

Training of an encoder of BERT-base's size with random weights, MiniLM's scores, the head on all rows, prediction from
file to file, and the profile of a step; each against Trainer or pipeline at its best, in turns on the same GPU. Every
result is appended to a file as it comes, so that a run that is cut off has measured something. It needs no network.

python -m tests.benchmarks.gpu --output gpu.jsonl --dataset FOLDER
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

from emotion_lit.cli.export import export
from emotion_lit.model.backbone import load_tokenizer
from tests.benchmarks.prediction import write_texts
from tests.benchmarks.turns import ROOT, machine

# The import that the start of `predict` is compared with.
IMPORTS = "import torch; from transformers import BertForSequenceClassification, BertTokenizerFast"


class Benchmark:
    """The steps of the benchmark, which share a folder and a deadline.

    Args:
        options: The command line.
        folder: A temporary folder.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.deadline = time.monotonic() + 60 * options.minutes
        self.base = folder / "base"

    def rows(self, count: int) -> int:
        """A number of rows, at the scale of this run."""
        return max(32, round(count * float(self.options.scale)))

    def note(self, step: str, **measured: Any) -> None:
        """Appends a result to the file, and prints it."""
        line = json.dumps({"step": step, **measured})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with self.options.output.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def run(self, step: str, *arguments: object) -> tuple[str, float] | None:
        """Runs a Python program until the deadline; returns its output and seconds, or None with a note."""
        start = time.perf_counter()
        left = self.deadline - time.monotonic()
        command = [sys.executable, *map(str, arguments)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(1, left))
        except subprocess.TimeoutExpired:
            self.note(step, failed=f"not measured within {self.options.minutes} minutes")
            return None
        if done.returncode:
            self.note(step, failed=done.returncode, error=done.stderr[-1500:])
            return None
        return done.stdout, time.perf_counter() - start

    # Steps

    def environment(self) -> None:
        """The machine, and the peak of its matrix products in bfloat16."""
        device, size = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 512)
        left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
        seconds = min(self._product(left, right) for _ in range(10))
        self.note("environment", **machine(), gpus=torch.cuda.device_count(), tflops=2e-12 * size**3 / seconds)
        torch.manual_seed(0)
        BertModel(self._config()).save_pretrained(self.base)
        load_tokenizer("embedded").save_pretrained(self.base)

    def _config(self) -> BertConfig:
        if self.options.scale >= 1:
            return BertConfig()  # its defaults are BERT-base
        return BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)

    @staticmethod
    def _product(left: torch.Tensor, right: torch.Tensor) -> float:
        if left.is_cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        product = left @ right
        if product.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def ours(self, step: str, recipe: str, backbone: object, rows: int, *more: str) -> Path | None:
        """Trains with a recipe as shipped; returns the run folder."""
        sizes, name = (f"--data.train_size={self.rows(rows)}",), re.sub(r"\W+", "-", step)
        place = ("--name", name, "--trainer.default_root_dir", self.folder, "--data.cache_dir", self.folder / "cache")
        arguments = ("--config", recipe, "--data.dataset", self.options.dataset, "--model.backbone", backbone)
        if self.run(step, "-m", "emotion_lit", "fit", *arguments, *place, *sizes, *more) is None:
            return None
        run = self.folder / name / "version_0"
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        scores = {"macro_f1": report["after"]["macro_f1"], "tf32": report["training"]["tf32"]}
        self.note(step, who="emotion_lit", **scores, training=report["training"])
        return run

    def trainer(self, step: str, tuning: str, rows: int, *more: str) -> None:
        """Trains the same with Trainer at its best."""
        sizes = ("--train-size", self.rows(rows), "--eval-size", min(500, self.rows(500)), "--epochs", 1)
        what = ("--tuning", tuning, "--backbone", self.base, "--dataset", self.options.dataset)
        found = self.run(step, "-m", "tests.benchmarks.trainer", "--settings", "best on a GPU", *what, *sizes, *more)
        if found:
            self.note(step, who="Trainer", **json.loads(found[0].strip().splitlines()[-1]))

    def train_base(self, tuning: str) -> None:
        """BERT-base size, one epoch: ours, Trainer with and without cuDNN's attention, and ours with large batches."""
        small = ("--trainer.max_epochs=1", "--data.val_size=500", "--data.test_size=500", "--report.baselines=false")
        if self.options.scale < 1:
            small = (*small[:1], "--data.val_size=40", "--data.test_size=40", small[-1])
        self.ours(f"{tuning}, defaults", tuning, self.base, 16_000, *small)
        self.trainer(f"{tuning}, Trainer without cuDNN's attention", tuning, 16_000, "--without-cudnn")
        self.ours(f"{tuning}, 16,384 tokens", tuning, self.base, 16_000, *small, "--data.tokens_per_batch=16384")
        self.trainer(f"{tuning}, Trainer", tuning, 16_000)

    def profile(self) -> None:
        """A step of full fine-tuning, without and with graphs."""
        # Most shapes are recorded by then; the budget is that of the first measurements, 190 steps.
        first, steps, budget = (
            (120, 20, "--data.tokens_per_batch=2048") if self.options.scale >= 1 else (5, 3, "--data.batch_size=4")
        )
        for graphs in ("off", "on"):
            fit = (
                *("--config", "full", "--data.dataset", self.options.dataset, "--model.backbone", self.base),
                *("--data.train_size", self.rows(16_000), budget, "--data.val_size=40", "--data.test_size=40"),
                *("--trainer.max_epochs=1", "--report.baselines=false", "--data.cache_dir", self.folder / "cache"),
                *("--trainer.default_root_dir", self.folder, "--name", f"profile-{graphs}"),
            )
            profiled = ("-m", "tests.benchmarks.steps", "--graphs", graphs, "--first", first, "--steps", steps, "--")
            found = self.run(f"profile, graphs {graphs}", *profiled, *fit)
            if found:
                line = next(line for line in found[0].splitlines() if line.startswith('{"wall_ms"'))
                self.note(f"profile, graphs {graphs}", **json.loads(line))

    def minilm(self) -> None:
        """MiniLM: LoRA on 8,000 rows for four epochs as shipped, then prediction against the pipeline."""
        few = () if self.options.scale >= 1 else ("--data.val_size=40", "--data.test_size=40")
        run = self.ours("MiniLM, LoRA", "lora", "embedded", 8_000, "--trainer.max_epochs=4", *few)
        if run is None:
            return
        texts, best = self.folder / "texts.txt", run / "checkpoints" / "best.ckpt"
        rows = self.rows(200_000)
        write_texts(self.options.dataset, None, rows, texts)
        (one := self.folder / "one.txt").write_text(texts.read_text(encoding="utf-8").splitlines()[0] + "\n")
        for precision in ("bf16-mixed", "32-true"):
            start = self._predict(f"start, {precision}", best, one, 1, precision, 0.0)
            self._predict(f"predict, {precision}", best, texts, rows, precision, start)
        if found := self.run("imports", "-c", IMPORTS):
            self.note("imports", seconds=found[1])
        export(best, self.folder / "model")
        part = texts.with_name("part.txt")
        part.write_text("".join(texts.read_text(encoding="utf-8").splitlines(keepends=True)[: max(1, rows // 4)]))
        for more in ((), ("--without-cudnn",)):
            self._pipeline(part, rows // 4, *more)

    def _predict(self, step: str, best: Path, texts: Path, rows: int, precision: str, start: float) -> float:
        files = ("--data.predict_path", texts, "--prediction.path", self.folder / "ours.csv")
        exact = ("--prediction.overwrite=true", f"--trainer.precision={precision}")
        found = self.run(step, "-m", "emotion_lit", "predict", "--ckpt_path", best, *files, *exact)
        if found is None:
            return 0.0
        self.note(step, who="emotion_lit", seconds=found[1], rows=rows, rows_per_second=rows / (found[1] - start))
        return found[1]

    def _pipeline(self, texts: Path, rows: int, *more: str) -> None:
        step = " ".join(["pipeline", *more])
        best = ("--dtype", "bfloat16", "--batch-size", 256, "--by-length")
        files = ("--model", self.folder / "model", "--texts", texts, "--labels", self.folder / "theirs.csv")
        if found := self.run(step, "-m", "tests.benchmarks.pipeline", *files, *best, *more):
            self.note(step, who="pipeline", seconds=found[1], rows=rows, rows_per_second=rows / found[1])

    def head(self) -> None:
        """The head on all rows."""
        few = () if self.options.scale >= 1 else ("--data.val_size=40", "--data.test_size=40")
        self.ours("head, all rows", "head", "embedded", 121_914, *few)

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """The steps, in order."""
        yield "environment", self.environment
        yield "full", lambda: self.train_base("full")
        yield "minilm", self.minilm
        yield "lora", lambda: self.train_base("lora")
        yield "profile", self.profile
        yield "head", self.head


def main() -> None:
    """Runs the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="The file that results are appended to, as JSON.")
    parser.add_argument("--dataset", default="sample", help="Training, validation and test rows.")
    parser.add_argument("--scale", type=float, default=1.0, help="Below 1: fewer rows, and a tiny encoder.")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", nargs="+", help="Only these steps.")
    options = parser.parse_args()
    options.output = options.output.resolve()
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Benchmark(options, Path(folder))
        for name, step in benchmark.steps():
            if name == "environment" or not options.steps or name in options.steps:
                step()


if __name__ == "__main__":
    main()
