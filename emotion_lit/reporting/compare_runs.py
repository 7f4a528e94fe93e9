"""Compares runs: ranks those that were tested on the same rows, and tests the difference of each pair."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from emotion_lit.errors import UserError
from emotion_lit.evaluation.bootstrap import LEVEL, SAMPLES, holm, macro_f1_gain
from emotion_lit.reporting.figures import AFTER_COLOR, new_figure
from emotion_lit.reporting.fonts import use_fonts_for
from emotion_lit.reporting.page import Part, Picture, Section, Table, write_page
from emotion_lit.reporting.report_keys import Report
from emotion_lit.reporting.runs import Run, by_task
from emotion_lit.utils import platforms

HIDDEN_SETTINGS = ("labels", "temperature", "threshold", "classes")
# Bootstrap samples for each pair of runs: p-values have to be small enough to be multiplied by the number of pairs.
SAMPLES_PER_PAIR = 100


def compare_runs(folders: Sequence[Path], output: Path) -> list[tuple[str, list[list[str]]]]:
    """Writes ``comparison.html`` and ``comparison.md``.

    Args:
        folders: The run folders.
        output: The folder to write to.

    Returns:
        For each group of runs that were tested on the same rows: its title, and a table, the best run first.

    Raises:
        UserError: A run has no complete report, or the output cannot be written.
    """
    groups = by_task(folders)
    figures, sections = {}, []
    for number, runs in enumerate(groups, 1):
        name = "cost" if number == 1 else f"cost_{number}"
        figures[name] = _cost_figure(runs)
        picture = Picture(name, "Macro-F1 on the test texts against the training time of each run")
        sections.append(Section(_title(runs), [Table(_overview(runs)), *_pairs(runs), picture]))
    if len(groups) > 1:
        sections[0].parts.insert(
            0,
            "Runs with other test texts, labels or classes are listed separately: their scores do not compare.",
        )
    sections.append(Section("Settings that differ", _differences([run for runs in groups for run in runs])))
    try:
        write_page(sections, figures, output, "comparison")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}; give another folder with --output") from error
    return [(_title(runs), _overview(runs)) for runs in groups]


def _title(runs: Sequence[Run]) -> str:
    """The test data of the runs."""
    table = runs[0].table
    datasets = dict.fromkeys(platforms.last_name(str(run.report["data"].get("dataset", "a data set"))) for run in runs)
    task = "multi-label" if table.multi_label else "single-label"
    count = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    texts = f"{len(table.texts):,} test texts of {', '.join(datasets)}"
    return f"{count} on {texts}, {len(table.labels)} classes, {task}"


def _overview(runs: Sequence[Run]) -> list[list[str]]:
    rows = [["run", "macro-F1", "accuracy", "ECE", "training texts", "epochs", "seconds", "trainable parameters"]]
    for run in runs:
        after, training = run.report["after"], run.report["training"]
        rows.append(
            [
                run.name,
                *(f"{after[key]:.4f}" for key in ("macro_f1", "accuracy", "ece")),
                f"{run.report['data']['rows']['train']:,}",
                str(training["epochs"]),
                f"{run.seconds:,.0f}",
                f"{training['trainable_parameters']:,}",
            ]
        )
    return rows


def _pairs(runs: Sequence[Run]) -> list[Part]:
    """Whether the difference of each pair of runs is statistically significant."""
    pairs = list(itertools.combinations(runs, 2))
    if not pairs:
        return []
    samples = max(SAMPLES, SAMPLES_PER_PAIR * len(pairs))
    gains = [macro_f1_gain(better.predictions, other.predictions, samples) for better, other in pairs]
    p_values = holm([gain.p_value or 0.0 for gain in gains])
    rows = [["better run", "other run", "difference in macro-F1", "95% interval", "p-value", "significant at 5%"]]
    for (better, other), gain, p_value in zip(pairs, gains, p_values, strict=True):
        significant = "yes" if p_value < 1 - LEVEL else "no"
        interval = f"{gain.low:+.4f} to {gain.high:+.4f}"
        rows.append([better.name, other.name, f"{gain.value:.4f}", interval, f"{p_value:.4f}", significant])
    corrected = f". P-values are corrected for {len(pairs)} comparisons (Holm)" if len(pairs) > 1 else ""
    return [
        Table(rows),
        f"Confidence intervals and p-values come from {samples:,} bootstrap samples of the test texts{corrected}.",
    ]


def _differences(runs: Sequence[Run]) -> list[Part]:
    settings = [_settings(run.report) for run in runs]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    differing = [key for key in keys if len({one.get(key, "") for one in settings}) > 1]
    if not differing:
        return ["None."]
    rows = [["setting", *(run.name for run in runs)]]
    rows += [[key, *(one.get(key, "") for one in settings)] for key in differing]
    return [Table(rows)]


def _settings(report: Report) -> dict[str, str]:
    parts = {"model": report["model"], "data": report["data"].get("settings", {}), "trainer": {}}
    parts["trainer"] = {key: report["training"][key] for key in ("epochs", "precision")}
    flat = {}
    for part, values in parts.items():
        for key, value in values.items():
            if key not in HIDDEN_SETTINGS:
                flat[f"{part}.{key}"] = "" if value is None else str(value)
    return flat


def _cost_figure(runs: Sequence[Run]) -> Figure:
    """Draws macro-F1 against the training time, a point for each run."""
    figure, axes = new_figure("Macro-F1 against training time")
    for number, run in enumerate(runs):
        point = (max(run.seconds, 0.1), run.macro_f1)
        axes.plot(*point, "o", color=AFTER_COLOR)
        offset = 6 if number % 2 == 0 else -12
        axes.annotate(run.name, point, textcoords="offset points", xytext=(0, offset), fontsize=7.5, ha="center")
    axes.set_xscale("log")
    axes.margins(0.25)
    axes.set(xlabel="training time in seconds", ylabel="macro-F1 on the test texts")
    return use_fonts_for(figure, [run.name for run in runs])
