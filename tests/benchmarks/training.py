"""Training against Hugging Face Trainer: the first project's recipe, and Trainer at its best.

All train the same encoder on the same rows for as many epochs. The time is that of the training steps, with ours
including the one pass of a frozen encoder; evaluation is left out of all. Run, for example:

    python -m tests.benchmarks.training --tuning full --dataset cirimus/super-emotion --train-size 8000 --epochs 4
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.benchmarks.turns import Measures, publish, ratios, run_module, spread, take_turns

PEERS = {"Trainer, recipe": "recipe", "Trainer, best": "best"}
OURS = "emotion_lit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", choices=["head", "lora", "full"], default="full")
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--train-size", type=int, default=1200)
    parser.add_argument("--eval-size", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--checks", type=int, default=1, help="Our validations an epoch, for the time to a score.")
    parser.add_argument("--output", help="A file for the JSON.")
    options, ours = parser.parse_known_args()

    runs = {OURS: lambda: _ours(options, ours)}
    for name in options.peers:
        runs[name] = lambda settings=PEERS[name]: _peer(options, settings)  # type: ignore[misc]
    results = take_turns(runs, options.rounds)
    rows = [["", "samples/s", "times faster", "validation macro-F1", "test macro-F1", "peak MiB"]]
    for name, measured in results.items():
        faster = "" if name == OURS else spread(ratios(results, OURS, name, "train_seconds"))
        rows.append(
            [
                name,
                spread([one["samples_per_second"] for one in measured], 0),
                faster,
                *(spread([one[f"{split}_macro_f1"] for one in measured], 3) for split in ("validation", "test")),
                spread([one["peak_memory_mb"] for one in measured], 0),
            ]
        )
    publish(f"training, {options.tuning}", rows, {"settings": vars(options), "rounds": results}, options.output)


def _shared(options: Any) -> list[str]:
    return ["--dataset", options.dataset, "--backbone", options.backbone]


def _peer(options: Any, settings: str) -> Measures:
    sizes = ["--train-size", str(options.train_size), "--eval-size", str(options.eval_size)]
    out, _ = run_module(
        "tests.benchmarks.trainer",
        *("--settings", settings, "--tuning", options.tuning, "--epochs", str(options.epochs)),
        *sizes,
        *_shared(options),
    )
    measures: Measures = json.loads(out.strip().splitlines()[-1])
    return measures


def _ours(options: Any, more: list[str]) -> Measures:
    with tempfile.TemporaryDirectory() as folder:
        run_module(
            "emotion_lit",
            *("fit", "--config", f"configs/{options.tuning}.yaml", "--name", "benchmark"),
            *("--data.dataset", options.dataset, "--model.backbone", options.backbone),
            *("--data.train_size", str(options.train_size), "--data.val_size", str(options.eval_size)),
            *("--data.test_size", str(options.eval_size), "--trainer.max_epochs", str(options.epochs)),
            *("--trainer.val_check_interval", str(1 / options.checks), "--early_stopping.patience", "100"),
            *("--data.cache_dir", f"{folder}/cache", "--trainer.default_root_dir", folder),
            *more,
        )
        run = Path(folder) / "benchmark" / "version_0"
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        training = report["training"]
        seconds = training["train_seconds"] + training["encode_seconds"]
        scores = _validations(run)
        per_step = training["train_seconds"] / training["steps"]
        return {
            "train_seconds": seconds,
            "samples_per_second": options.epochs * report["data"]["rows"]["train"] / seconds,
            "validation_macro_f1": report["after"]["validation"]["macro_f1"],
            "test_macro_f1": report["after"]["macro_f1"],
            "peak_memory_mb": training["peak_memory_mb"],
            "peak_share": training["peak_share"],
            **{f"macro_f1_at_{training['encode_seconds'] + step * per_step:.0f}_s": score for step, score in scores},
        }


def _validations(run: Path) -> list[tuple[int, float]]:
    """Steps that were done and the macro-F1 then."""
    events = EventAccumulator(str(run)).Reload()
    return [(event.step + 1, event.value) for event in events.Scalars("val/macro_f1")]


if __name__ == "__main__":
    main()
