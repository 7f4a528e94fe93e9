"""Every setting that `fit --help` shows, typed once: it has an effect, is refused in a line, or a line says why not.

Prints a table; as a command: python -m tests.cli.test_help_walk
"""

import contextlib
import hashlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from jsonargparse._link_arguments import ActionLink

from emotion_lit.cli import main
from emotion_lit.data import sources
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.unused_settings import is_listed
from emotion_lit.utils.console_tables import table
from tests.conftest import BACKBONE
from tests.faults.kills import make_backbone

BASE = [
    *("--data.dataset=sample", "--data.train_size=60", "--data.val_size=28", "--data.test_size=14", "--name=own"),
    *(f"--model.backbone={BACKBONE}", "--trainer.max_epochs=3", "--trainer.precision=32-true"),
    *(
        "--model.learning_rate=0.02",
        "--model.head_learning_rate=0.02",
    ),
]
MULTI = ["--data.multi_label=true"]
UPPER = ["--model.tuning=full", "--model.trainable_layers=1"]
FOUR = ["--trainer.max_epochs=4", "--early_stopping.patience=2"]
SLOWLY = [
    *("--model.tuning=full", "--model.learning_rate=0.0005", "--model.head_learning_rate=0.0005"),
    "--early_stopping.monitor=val/loss",
]
# A value that is not the default, and settings in which it can have an effect.
VALUES: dict[str, tuple[str, list[str]]] = {
    "seed_everything": ("7", []),
    "name": ("another", []),
    "ckpt_path": ("nowhere.ckpt", []),
    "report.baselines": ("false", []),
    "report.enabled": ("false", []),
    "trainer.accelerator": ("gpu", []),
    "trainer.strategy": ("fsdp", []),
    "trainer.devices": ("0", []),
    "trainer.num_nodes": ("2", []),
    "trainer.precision": ("bf16-true", []),
    "trainer.logger": ("false", []),
    "trainer.callbacks": ("RichModelSummary", []),
    "trainer.fast_dev_run": ("true", []),
    "trainer.max_epochs": ("2", []),
    "trainer.min_epochs": ("3", ["--early_stopping.stopping_threshold=0"]),
    "trainer.max_steps": ("2", []),
    "trainer.min_steps": ("9", ["--early_stopping.stopping_threshold=0"]),
    "trainer.max_time": ("00:00:00:01", ["--trainer.max_epochs=40", "--early_stopping.patience=99"]),
    "trainer.limit_train_batches": ("1", []),
    "trainer.limit_val_batches": ("0", []),
    "trainer.overfit_batches": ("1", []),
    "trainer.val_check_interval": ("1", []),
    "trainer.check_val_every_n_epoch": ("2", []),
    "trainer.num_sanity_val_steps": ("1", []),
    "trainer.log_every_n_steps": ("1", []),
    "trainer.enable_checkpointing": ("false", []),
    "trainer.enable_progress_bar": ("false", []),
    "trainer.enable_model_summary": ("true", []),
    "trainer.accumulate_grad_batches": ("2", []),
    "trainer.gradient_clip_val": ("0.01", []),
    "trainer.gradient_clip_algorithm": ("value", ["--trainer.gradient_clip_val=0.001"]),
    "trainer.deterministic": ("true", []),
    "trainer.benchmark": ("true", []),
    "trainer.profiler": ("simple", []),
    "trainer.detect_anomaly": ("true", []),
    "trainer.barebones": ("true", []),
    "trainer.plugins": ("MisterX", []),
    "trainer.reload_dataloaders_every_n_epochs": ("1", []),
    "trainer.default_root_dir": ("ROOT/elsewhere", []),
    "model.backbone": ("nowhere/at/all", []),
    "model.tuning": ("full", []),
    "model.pooling": ("mean", []),
    "model.lora.rank": ("2", []),
    "model.lora.alpha": ("1", []),
    "model.lora.dropout": ("0.5", []),
    "model.lora.targets": ("query", []),
    "model.trainable_layers": ("1", []),
    "model.learning_rate": ("0.001", []),
    "model.head_learning_rate": ("0.001", []),
    "model.weight_decay": ("0.5", []),
    "model.warmup": ("0.5", []),
    "model.schedule": ("constant", []),
    "model.dropout": ("0.3", []),
    "model.label_smoothing": ("0.5", []),
    "model.class_weights": ("[9, 1, 1, 1, 1, 1, 1]", []),
    "model.threshold": ("0.3", MULTI),
    "model.temperature": ("2", []),
    "model.cache_features": ("false", UPPER),
    "model.compile_encoder": ("true", []),
    "model.fast_paths": ("false", []),
    "data.dataset": ("nowhere", []),
    "data.text_column": ("labels_str", []),
    "data.label_column": ("nowhere", []),
    "data.labels": ("[a, b, c, d, e, f, g]", []),
    "data.classes": ("[Joy, Fear]", []),
    "data.multi_label": ("true", []),
    "data.train_size": ("30", []),
    "data.val_size": ("14", []),
    "data.test_size": ("28", []),
    "data.exclude_labels": ("[Neutral]", []),
    "data.sources": ("[diary]", []),
    "data.deduplicate": ("false", ["--data.dataset=ROOT/rows.jsonl"]),
    "data.separator": (";", []),
    "data.encoding": ("utf-16", ["--data.dataset=ROOT/rows.jsonl"]),
    "data.header": ("false", []),
    "data.config": ("nowhere", []),
    "data.label_columns": ("[labels, source]", []),
    "data.label_separator": ("a", []),
    "data.revision": ("nowhere", []),
    "data.on_error": ("stop", ["--data.dataset=ROOT/odd.jsonl", "--data.on_error=skip"]),
    "data.unknown_labels": ("stop", ["--data.classes=[Joy, Fear]", "--data.unknown_labels=skip"]),
    "data.max_length": ("8", []),
    "data.tokens_per_batch": ("256", []),
    "data.batch_size": ("8", []),
    "data.seed": ("7", []),
    "data.num_workers": ("1", []),
    "data.cache_dir": ("ROOT/cache", []),
    "checkpoint.monitor": ("val/loss", []),
    "checkpoint.mode": ("min", []),
    "checkpoint.save_top_k": ("2", []),
    "checkpoint.dirpath": ("ROOT/kept", []),
    "checkpoint.filename": ("mine", []),
    "last.every_minutes": ("0", []),
    "early_stopping.monitor": ("val/loss", ["--early_stopping.stopping_threshold=0.01", "--trainer.max_epochs=2"]),
    "early_stopping.min_delta": ("9", [*SLOWLY, *FOUR]),
    "early_stopping.patience": ("1", ["--trainer.max_epochs=4", "--early_stopping.min_delta=9"]),
    "early_stopping.verbose": ("true", []),
    "early_stopping.mode": ("min", ["--early_stopping.stopping_threshold=0.9"]),
    "early_stopping.check_finite": ("false", []),
    "early_stopping.stopping_threshold": ("0", []),
    "early_stopping.divergence_threshold": ("0.99", []),
    "early_stopping.check_on_train_epoch_end": ("true", ["--trainer.val_check_interval=1", *FOUR]),
    "early_stopping.log_rank_zero_only": ("true", []),
}
NO_SETTINGS = ("help", "config", "print_config")
NUMBERS = re.compile(r"[\d.,]+|/\S+")
SAID = re.compile(r"no effect|measures the Trainer alone")


@dataclass
class Outcome:
    """What came of a run: the line that refuses it, lines about settings, and all that may be seen of it."""

    refused: str = ""
    lines: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def watched(seen: set[str]) -> Iterator[None]:
    """Notes what cannot be seen afterward: modes of PyTorch, and processes that load."""
    before = {name: getattr(EmotionClassifier, name) for name in ("training_step", "validation_step")}
    save = pl.Trainer.save_checkpoint

    def step(name: str) -> Any:
        def watching(self: EmotionClassifier, *args: Any) -> Any:
            loader = self.trainer.train_dataloader
            seen.add(
                f"{name}: deterministic {torch.are_deterministic_algorithms_enabled()}, anomalies "
                f"{torch.is_anomaly_enabled()}, inference {torch.is_inference_mode_enabled()}, "
                f"workers {getattr(loader, 'num_workers', None)}, first look {self.trainer.sanity_checking}, "
                f"bar {self.trainer.progress_bar_callback is not None}, loader {name == 'training_step' and id(loader)}"
            )
            return before[name](self, *args)

        return watching

    def saving(self: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        seen.add(f"saved at step {self.global_step}")
        save(self, *args, **kwargs)

    try:
        pl.Trainer.save_checkpoint = saving  # type: ignore[method-assign]
        for name in before:
            setattr(EmotionClassifier, name, step(name))
        yield
    finally:
        pl.Trainer.save_checkpoint = save  # type: ignore[method-assign]
        for name, method in before.items():
            setattr(EmotionClassifier, name, method)
        torch.use_deterministic_algorithms(False)


def run(*settings: str) -> Outcome:
    """Trains, and looks at what came of it."""
    out, err, seen = io.StringIO(), io.StringIO(), set[str]()
    with tempfile.TemporaryDirectory() as folder, watched(seen):
        words = [word.replace("ROOT", folder) for word in settings]
        sample = (Path(sources.__file__).parent / "sample" / "test.jsonl").read_text().splitlines()[:60]
        Path(folder, "rows.jsonl").write_text("\n".join(sample + sample) + "\n")  # each twice
        Path(folder, "odd.jsonl").write_text("\n".join([*sample, '{"text": "", "labels": 1}']) + "\n")
        place = [f"--trainer.default_root_dir={folder}/logs"] if "default_root_dir" not in " ".join(words) else []
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli = main(["fit", *BASE, *place, *words])
            except SystemExit:
                line = next(one for one in err.getvalue().splitlines() if one.startswith("error: "))
                return Outcome(refused=line.removeprefix("error: ").replace(folder, ""))
        assert cli is not None
        said = [line.replace(folder, "") for line in [*out.getvalue().splitlines(), *err.getvalue().splitlines()]]
        lines = [line for line in said if SAID.search(line)]
        found = {
            "weights": _sha(cli.model),
            "steps": cli.trainer.global_step,
            "epochs": cli.trainer.current_epoch,
            "files": sorted(re.sub(r"\d{5,}.*", "", str(file.relative_to(folder))) for file in Path(folder).rglob("*")),
            "words": sorted({NUMBERS.sub("", line) for line in said if line not in lines and "it/s" not in line}),
            "scores": _scores(Path(folder)),
            "events": _events(Path(folder)),
            "modes": sorted({re.sub(r"loader \d+", "loader", one) for one in seen}),
            "loaders": len({one for one in seen if one.startswith("training")}),
        }
        return Outcome(lines=lines, seen=found)


def _sha(model: torch.nn.Module) -> str:
    content = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode() + tensor.detach().float().numpy().tobytes())
    return content.hexdigest()


def _scores(folder: Path) -> Any:
    report = next(iter(sorted(folder.rglob("report.json"))), None)
    if report is None:
        return None
    read = json.loads(report.read_text())
    found = [read["before"], read["after"], read["data"]["rows"], read["calibration"]["temperature"]]
    baselines = [{**row, "seconds": None} for row in read.get("baselines") or []]
    return [*found, baselines, read.get("contamination")]


def _events(folder: Path) -> int:
    """How much was logged, in thousands of bytes."""
    return sum(file.stat().st_size for file in folder.rglob("events*")) // 1000


def listed() -> list[str]:
    """The settings of `fit --help`."""
    found: list[str] = []

    class Parsing(EmotionCLI):
        def before_instantiate_classes(self) -> None:
            actions = self._parser("fit")._actions
            typed = [one.dest for one in actions if one.option_strings and not isinstance(one, ActionLink)]
            named = {one for one in typed if one == "data.config" or one.rsplit(".", 1)[-1] not in NO_SETTINGS}
            found.extend(key for key in typed if key in named and is_listed("fit", key))
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        Parsing(["fit"])
    blocks = {key.rsplit(".", 1)[0] for key in found if "." in key}
    return [one for one in dict.fromkeys(found) if one not in blocks]


def walk(keys: list[str]) -> list[list[str]]:
    """A row for each setting: what was typed, what came of it, and in what it shows."""
    references: dict[tuple[str, ...], Outcome] = {}
    rows = []
    for key in keys:
        value, context = VALUES[key]
        if tuple(context) not in references:
            run(*context)  # what is cached from here on is in the cache
            first, second = run(*context), run(*context)
            assert first.seen, first.refused
            stable = {name: found for name, found in first.seen.items() if second.seen[name] == found}
            references[tuple(context)] = Outcome("", first.lines, stable)
        reference = references[tuple(context)]
        outcome = run(*context, f"--{key}={value}")
        if outcome.refused:
            rows.append([f"{key}={value}", "refused", outcome.refused])
        elif outcome.lines and outcome.lines != reference.lines:
            rows.append([f"{key}={value}", "line", outcome.lines[0]])
        else:
            differ = [name for name, found in reference.seen.items() if found != outcome.seen[name]]
            rows.append([f"{key}={value}", "effect" if differ else "silent", ", ".join(differ)])
    return rows


def test_the_walk_knows_every_setting() -> None:
    assert sorted(listed()) == sorted(VALUES)


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_no_setting_is_taken_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    rows = walk(list(VALUES))
    with capsys.disabled():
        sys.stdout.write("\n" + table([["setting", "outcome", "in what"], *rows]) + "\n")
    assert not [row for row in rows if row[1] == "silent"]


if __name__ == "__main__":
    make_backbone(BACKBONE)
    sys.stdout.write(table([["setting", "outcome", "in what"], *walk(sys.argv[1:] or list(VALUES))]) + "\n")
