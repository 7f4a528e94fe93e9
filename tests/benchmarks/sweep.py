"""A sweep: its time, what it spends outside of training, what pruning saves, and Trainer's search with Optuna.

What pruning saves is computed from a sweep without it: at the scores that its trials reported, the pruner would have
stopped some. Both sweeps have the same space, rows and number of trials as Trainer's search. Run, for example:

    python -m tests.benchmarks.sweep --tuning head --dataset cirimus/super-emotion --train-size 8000 --trials 50
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from emotion_lit.sweep.budget import FINISHED, SETUP
from emotion_lit.sweep.study import JOURNAL, make_pruner
from tests.benchmarks.turns import Measures, publish, ratios, run_module, spread, take_turns

OURS, UNPRUNED, PEER = "emotion_lit", "emotion_lit, no pruning", "Trainer.hyperparameter_search"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", choices=["head", "lora", "full"], default="head")
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--train-size", type=int, default=1200)
    parser.add_argument("--eval-size", type=int, default=500)
    parser.add_argument("--epochs", type=int, help="Those of trial 0; by default those of the recipe.")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget", help="A time for our sweep, instead of a number of trials.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", nargs="*", choices=[UNPRUNED, PEER], default=[UNPRUNED, PEER])
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    runs = {OURS: lambda: _ours(options, pruning=True)}
    if UNPRUNED in options.peers:
        runs[UNPRUNED] = lambda: _ours(options, pruning=False)
    if PEER in options.peers:
        runs[PEER] = lambda: _peer(options)
    results = take_turns(runs, options.rounds)
    rows = [
        ["", "seconds", "seconds a trial", "times more trials an hour", "validation macro-F1", "outside training, s"]
    ]
    for name, measured in results.items():
        rows.append(
            [
                name,
                spread([one["wall_seconds"] for one in measured], 0),
                spread([one["seconds_per_trial"] for one in measured], 1),
                "" if name == OURS else spread(ratios(results, OURS, name, "seconds_per_trial")),
                spread([one["validation_macro_f1"] for one in measured], 4),
                spread([one["outside_training"] for one in measured], 2) if "outside_training" in measured[0] else "",
            ]
        )
    publish(f"sweep, {options.tuning}", rows, {"settings": vars(options), "rounds": results}, options.output)


def _ours(options: Any, pruning: bool) -> Measures:
    with tempfile.TemporaryDirectory() as folder:
        limit = ["--budget", options.budget] if options.budget else ["--trials", str(options.trials)]
        sizes = ("--data.val_size", str(options.eval_size), "--data.test_size", str(options.eval_size))
        _, seconds = run_module(
            "emotion_lit",
            *("sweep", "--config", options.tuning, "--name", "benchmark", *limit),
            *("--data.dataset", options.dataset, "--model.backbone", options.backbone),
            *("--data.train_size", str(options.train_size), *sizes, "--sweep.pruning", str(pruning).lower()),
            *(("--trainer.max_epochs", str(options.epochs)) if options.epochs else ()),
            *("--trainer.default_root_dir", folder),
        )
        storage = optuna.storages.journal.JournalFileBackend(str(Path(folder) / "benchmark_sweep" / JOURNAL))
        study = optuna.load_study(study_name="benchmark", storage=optuna.storages.JournalStorage(storage))
        trials, best = study.get_trials(states=FINISHED), study.best_value
    return {
        "wall_seconds": seconds,
        "trials": len(trials),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "seconds_per_trial": seconds / len(trials),
        "validation_macro_f1": best,
        **_outside_training(trials),
        **({} if pruning else _saved_by_pruning(trials)),
    }


def _outside_training(trials: list[FrozenTrial]) -> Measures:
    """The mean seconds of complete trials before and after their training, without the first, which fills caches."""
    later = [trial.user_attrs for trial in trials[1:] if trial.state == TrialState.COMPLETE]
    outside = [one["seconds"] - one["train_seconds"] for one in later]
    return {
        "outside_training": sum(outside) / len(outside),
        "before_training": sum(one[SETUP] for one in later) / len(later),
        "outside_share": sum(outside) / sum(one["seconds"] for one in later),
    }


def _saved_by_pruning(trials: list[FrozenTrial]) -> Measures:
    """The share of all time that the pruner would have saved, and whether the best trial would be the same."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner())
    total = saved = 0.0
    for trial in trials:
        seconds = trial.user_attrs["train_seconds"]
        total += seconds
        asked, pruned = study.ask(), False
        for part, score in sorted(trial.intermediate_values.items()):
            asked.report(score, part)
            if asked.should_prune():
                saved += seconds * (1 - part / 8)
                pruned = True
                break
        study.tell(asked, None if pruned else trial.value, TrialState.PRUNED if pruned else TrialState.COMPLETE)
    best = max(trials, key=lambda trial: trial.value or 0.0)
    return {"saved_by_pruning": saved / total, "same_winner": float(study.best_value == best.value)}


def _peer(options: Any) -> Measures:
    start = time.perf_counter()
    out, _ = run_module(
        "tests.benchmarks.trainer_search",
        *("--tuning", options.tuning, "--dataset", options.dataset, "--backbone", options.backbone),
        *("--train-size", str(options.train_size), "--eval-size", str(options.eval_size)),
        *("--epochs", str(options.epochs or (10 if options.tuning == "head" else 3)), "--trials", str(options.trials)),
    )
    measures: Measures = json.loads(out.strip().splitlines()[-1])
    seconds = time.perf_counter() - start
    return {**measures, "wall_seconds": seconds, "seconds_per_trial": seconds / options.trials}


if __name__ == "__main__":
    main()
