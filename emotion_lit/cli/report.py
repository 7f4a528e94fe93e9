"""`python -m emotion_lit report RUN [RUN ...]`: reports of what has been trained, without training."""

import os
from collections.abc import Sequence
from pathlib import Path

from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, PredictionTable
from emotion_lit.evaluation.summary import summarize
from emotion_lit.reporting.compare_runs import compare_runs
from emotion_lit.reporting.learning_curves import read_learning_curves
from emotion_lit.reporting.run_report import PREDICTIONS_FILE, draw_figures, read_report, write_report
from emotion_lit.reporting.score_tables import headline_rows
from emotion_lit.training.settings.parser import EmotionParser
from emotion_lit.utils.commands import COMMANDS
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table

COMPARISON = "comparison"
RUNS = "logs/NAME/version_N, or a folder of runs, of which all that have a report are taken"


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: The words after `report`.
    """
    parser = EmotionParser(prog="python -m emotion_lit report", description=COMMANDS["report"])
    parser.add_argument("runs", type=Path, nargs="+", help=f"Run folders; {RUNS}.")
    parser.add_argument(
        "--output",
        type=Path | None,
        default=None,
        help="The folder for a comparison; by default `comparison` next to the runs.",
    )
    typed = parser.parse_args(args)
    report(typed.runs, typed.output)


def report(runs: Sequence[Path], output: Path | None = None) -> None:
    """Rebuilds the report of a run from its saved predictions, or compares several runs.

    Args:
        runs: Run folders, ``logs/<name>/version_N``; a folder of runs means all runs in it.
        output: Where the comparison of several runs goes: a folder; by default `comparison` in the folder of the runs.

    Raises:
        UserError: A run has no report yet, or its files are damaged.
    """
    folders = list({folder.resolve(): folder for run in runs for folder in _runs_in(run)}.values())
    if len(folders) == 1:
        _again(folders[0])
        return
    output = output or _common_folder(folders) / COMPARISON
    for title, rows in compare_runs(folders, output):
        show(f"{title}\n{table(rows)}\n")
    say(f"comparison   {output / 'comparison.html'}", wrap=False)


def _runs_in(folder: Path) -> list[Path]:
    """The folder itself if it is a run, else the runs in it that have come to their report."""
    found = sorted(file.parent for file in folder.glob("*/**/report.json")) if folder.is_dir() else []
    return found if found and not (folder / "config.yaml").is_file() else [folder]


def _common_folder(folders: Sequence[Path]) -> Path:
    """The folder that all runs are in."""
    try:
        return Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    except ValueError:  # on several drives of Windows
        return folders[0].parent


def _again(folder: Path) -> None:
    old = read_report(folder)
    predictions = PredictionTable.read(folder / PREDICTIONS_FILE)
    costs = {
        model["name"]: {key: model[key] for key in ("seconds", "parameters") if key in model}
        for model in old["baselines"]
    }
    summary = summarize(predictions, old["calibration"]["temperature"], costs)
    summary[AFTER]["validation"] = old["after"].get("validation")
    made = {**old, **summary}
    write_report(made, draw_figures(made, predictions, read_learning_curves(folder)), folder)
    show(table(headline_rows({f"test {name}": made[name] for name in (BEFORE, AFTER) if name in made})))
    say(f"\nreport       {folder / 'report.html'}")
