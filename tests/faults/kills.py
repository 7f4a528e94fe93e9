"""Kills the real program at random moments, lets it go on, and compares what comes of it with an undisturbed run.

Prints the counts; as a command: python -m tests.faults.kills fit 50, or predict 50.
"""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from transformers import AutoModel, BertConfig

from emotion_lit.model.backbone import load_tokenizer

# What may differ between a run and the same run in two parts: times, what is computed from them, and a path's length.
OF_TIME = re.compile(r"seconds|per_second|peak|memory|loading_share|checkpoint_bytes")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}

SMALL = [
    *("--data.dataset=sample", "--data.train_size=140", "--data.val_size=42", "--data.test_size=42"),
    *("--data.tokens_per_batch=512", "--trainer.max_epochs=3", "--last.every_minutes=0", "--model.learning_rate=1e-3"),
    *("--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"),
]
HEAD = ["--model.tuning=head", "--model.head_learning_rate=1e-3"]
# The settings in which a run may be stopped, by name.
FIT: dict[str, list[str]] = {
    "full": ["--model.tuning=full"],
    "lora": ["--model.tuning=lora", "--model.lora.dropout=0.1"],
    "head, cls": [*HEAD, "--model.pooling=cls"],
    "head, mean, cached": [*HEAD, "--model.pooling=mean"],
    "head, mean, not cached": [*HEAD, "--model.pooling=mean", "--model.cache_features=false"],
    "upper layer, cached": ["--model.tuning=full", "--model.trainable_layers=1"],
    "upper layer, not cached": [
        *("--model.tuning=lora", "--model.trainable_layers=1", "--model.cache_features=false"),
    ],
    "a share of the batches": ["--model.tuning=lora", "--trainer.limit_train_batches=0.6"],
    "a number of batches": ["--model.tuning=full", "--trainer.limit_train_batches=4", "--trainer.limit_val_batches=2"],
    "steps inside an epoch": ["--model.tuning=full", "--trainer.max_steps=13"],
    "accumulated": ["--model.tuning=lora", "--trainer.accumulate_grad_batches=3"],
    "validated inside an epoch": ["--model.tuning=full", "--trainer.val_check_interval=0.3"],
    "validated every 4 batches": [
        *("--model.tuning=lora", "--trainer.val_check_interval=4", "--trainer.check_val_every_n_epoch=null"),
    ],
    "accumulated and validated inside": [
        *("--model.tuning=full", "--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=3"),
    ],
    "early stopping": ["--model.tuning=full", "--early_stopping.patience=1", "--early_stopping.min_delta=0.5"],
    "nulls and single precision": [
        *("--model.tuning=full", "--trainer.gradient_clip_val=null", "--trainer.precision=32-true"),
    ],
    "several labels": [*HEAD, "--data.multi_label=true", "--model.class_weights=balanced"],
    "rows in a batch": ["--model.tuning=lora", "--data.batch_size=16", "--model.schedule=cosine"],
}


SUFFIXES = (".csv", ".jsonl", ".parquet")
PROGRAM = """
import sys
import emotion_lit.data.streaming as streaming
from emotion_lit.cli import main
streaming.WINDOW = 64
if __name__ == "__main__":
    main(sys.argv[1:])
"""


class DifferenceError(AssertionError):
    """What came of a stopped run is not what came of the undisturbed one."""


def make_backbone(folder: Path) -> Path:
    """A tiny untrained BERT with a real tokenizer."""
    torch.manual_seed(0)
    make: Any = AutoModel.from_config
    config = BertConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    make(config).save_pretrained(folder)
    load_tokenizer("embedded").save_pretrained(folder)
    return folder


def start(words: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    """Starts the program as a person would."""
    with (folder / "screen.txt").open("a") as screen:
        command = [sys.executable, "-m", "emotion_lit", *words]
        return subprocess.Popen(command, cwd=folder, stdout=screen, stderr=screen, text=True)


def stop_after(process: "subprocess.Popen[str]", seconds: float, how: signal.Signals) -> str:
    """Sends a signal after a while; says what came of it."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        sent = time.monotonic()
        process.send_signal(how)
        code = process.wait(60)
        if how in CODES and code not in (CODES[how], -how, 0):
            raise DifferenceError(f"{how.name}: exit code {code}") from None
        if time.monotonic() - sent > 20:
            raise DifferenceError(f"{how.name}: it took {time.monotonic() - sent:.0f} s to end") from None
        return how.name
    if process.returncode:
        raise DifferenceError(f"exit code {process.returncode}")
    return "done before"


def without_times(value: Any) -> Any:
    """A report without what may differ."""
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if not OF_TIME.search(key)}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def compare_runs(whole: Path, stopped: Path) -> None:
    """Checks that two runs have the same weights, report and rows.

    Raises:
        DifferenceError: They have not.
    """
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (whole, stopped))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "hyper_parameters", "global_step"):
            if not same(one.get(part), other.get(part)):
                raise DifferenceError(f"{name}: {part} differs")
    reports = [without_times(json.loads((run / "report.json").read_text())) for run in (whole, stopped)]
    for key in reports[0].keys() | reports[1].keys():
        if reports[0].get(key) != reports[1].get(key):
            raise DifferenceError(f"report.json: {key}: {first_difference(reports[0].get(key), reports[1].get(key))}")
    if not pq.read_table(whole / "predictions.parquet").equals(pq.read_table(stopped / "predictions.parquet")):
        raise DifferenceError("predictions.parquet differs")


def same(one: Any, other: Any) -> bool:
    """Whether two parts of checkpoints are the same, to the last bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def first_difference(one: Any, other: Any, where: str = "") -> str:
    """Where two values first differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                return first_difference(one.get(key), other.get(key), f"{where}.{key}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b:
                return first_difference(a, b, f"{where}[{place}]")
    return f"{where}: {str(one)[:200]} and {str(other)[:200]}"


class FitTrials:
    """Kills of `fit`, one setting after the other.

    Args:
        folder: Where all of it happens.
        seed: Decides the moments.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.backbone = make_backbone(folder / "backbone")
        self.draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.whole: dict[str, tuple[Path, float]] = {}

    def run(self, setting: str, kills: int) -> None:
        """Makes a run, stops another one so many times, each time at a random moment, and compares both."""
        words = ["fit", *SMALL, f"--model.backbone={self.backbone}", *FIT[setting]]
        if setting not in self.whole:
            began = time.monotonic()
            self._finish([*words, f"--trainer.default_root_dir={self.folder / 'whole' / str(len(self.whole))}"])
            run = next((self.folder / "whole" / str(len(self.whole))).glob("*/version_0"))
            self.whole[setting] = run, time.monotonic() - began
        whole, seconds = self.whole[setting]
        root = self.folder / "stopped" / str(sum(self.counts.values()))
        moments = []
        try:
            done = 0
            while done < kills:
                how = self.draw.choice(SIGNALS)
                moment = seconds * (0.3 + 0.75 * self.draw.random())
                moments.append(f"{how.name} after {moment:.1f} s")
                outcome = stop_after(start(self._words(words, root), self.folder), moment, how)
                self.counts[outcome] += 1
                done += 1
                if outcome == "done before":
                    break
            stopped = self._resumable(root)
            if stopped is None or not (stopped / "report.json").exists():
                self._finish(self._words(words, root))
            compare_runs(whole, self._resumable(root) or root)
            self.counts["same"] += 1
        except DifferenceError as failure:
            self.failures.append(f"{setting} ({', '.join(moments)}; {root}): {failure}")
            print(self.failures[-1], flush=True)
        else:
            shutil.rmtree(root, ignore_errors=True)

    def _words(self, words: Sequence[str], root: Path) -> list[str]:
        run = self._resumable(root)
        return ["fit", f"--ckpt_path={run}"] if run else [*words, f"--trainer.default_root_dir={root}"]

    @staticmethod
    def _resumable(root: Path) -> Path | None:
        return next((file.parent.parent for file in sorted(root.glob("*/version_*/checkpoints/last.ckpt"))), None)

    def _finish(self, words: Sequence[str]) -> None:
        code = start(words, self.folder).wait(600)
        if code:
            lines = (self.folder / "screen.txt").read_text().splitlines()[-3:]
            raise DifferenceError(f"exit code {code}: {' / '.join(lines)}")


class PredictTrials:
    """Kills of `predict`, with one process or two, in small windows, so that there is something to lose.

    Args:
        folder: Where all of it happens.
        run: The run folder of a model.
        seed: Decides the moments.
    """

    def __init__(self, folder: Path, run: Path, seed: int = 0) -> None:
        self.folder = folder
        self.words = ["predict", f"--ckpt_path={run}", f"--data.predict_path={folder / 'texts.jsonl'}"]
        self.draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.whole: dict[str, tuple[Path, float]] = {}
        (folder / "program.py").write_text(PROGRAM)
        rows = [{"id": row, "text": f"row {row} " + "so it is " * self.draw.randint(0, 12)} for row in range(1500)]
        (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, setting: str, kills: int) -> None:
        """Makes an output, kills the making of another one so many times, and compares both.

        Args:
            setting: The suffix of the output.
            kills: How many times.
        """
        if setting not in self.whole:
            began = time.monotonic()
            self._finish(self.folder / f"whole{setting}", 1)
            self.whole[setting] = self.folder / f"whole{setting}", time.monotonic() - began
        whole, seconds = self.whole[setting]
        target = self.folder / f"stopped-{sum(self.counts.values())}{setting}"
        moments = []
        try:
            for _ in range(kills):
                how, count = self.draw.choice(SIGNALS), self.draw.choice((1, 1, 2))
                moment = seconds * (0.5 + 0.5 * self.draw.random())
                moments.append(f"{how.name} after {moment:.1f} s with {count}")
                outcome = stop_after(self._start(target, count), moment, how)
                self.counts[outcome] += 1
                if target.exists():
                    break
            if not target.exists():
                self._finish(target, self.draw.choice((1, 1, 2)))
            if target.read_bytes() != whole.read_bytes():
                raise DifferenceError("other bytes")
            left = [file.name for file in self.folder.glob(f".{target.name}*")]
            if left:
                raise DifferenceError(f"left over: {left}")
            self.counts["same"] += 1
        except DifferenceError as failure:
            self.failures.append(f"{target} ({', '.join(moments)}): {failure}")
            print(self.failures[-1], flush=True)

    def _start(self, target: Path, count: int) -> "subprocess.Popen[str]":
        several = [f"--trainer.devices={count}", "--trainer.strategy=ddp"] if count > 1 else []
        words = [*self.words, f"--prediction.path={target}", "--trainer.accelerator=cpu", *several]
        with (self.folder / "screen.txt").open("a") as screen:
            command = [sys.executable, str(self.folder / "program.py"), *words]
            return subprocess.Popen(command, cwd=self.folder, stdout=screen, stderr=screen, text=True)

    def _finish(self, target: Path, count: int) -> None:
        code = self._start(target, count).wait(600)
        if code:
            lines = (self.folder / "screen.txt").read_text().splitlines()[-3:]
            raise DifferenceError(f"exit code {code}: {' / '.join(lines)}")


def kill(
    trials: FitTrials | PredictTrials, settings: Sequence[str], kills: int, per_run: Sequence[int] = (1, 1, 2)
) -> None:
    """Kills so many times, setting by setting, and prints the counts.

    Args:
        trials: What is killed.
        settings: In turns.
        kills: How many in all.
        per_run: How many of them one run takes; drawn.
    """
    made = 0
    while sum(trials.counts[one.name] for one in set(SIGNALS)) < kills:
        trials.run(settings[made % len(settings)], trials.draw.choice(per_run))
        made += 1
        print(made, dict(trials.counts), flush=True)
    print("\n".join(trials.failures) or "no differences", flush=True)


def main(kind: str, kills: int, seed: int = 0) -> None:
    """Runs trials of `fit` or `predict` in a temporary folder, and fails where something differs."""
    folder = Path(tempfile.mkdtemp(prefix=f"kills-{kind}-"))
    trials: FitTrials | PredictTrials
    if kind == "fit":
        trials = FitTrials(folder, seed)
        kill(trials, list(FIT), kills)
    else:
        words = ["fit", *SMALL, f"--model.backbone={make_backbone(folder / 'backbone')}"]
        start([*words, "--model.tuning=lora", "--trainer.default_root_dir=logs"], folder).wait(600)
        trials = PredictTrials(folder, folder / "logs" / "emotion" / "version_0", seed)
        kill(trials, list(SUFFIXES), kills)
    raise SystemExit(bool(trials.failures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
