"""Several runs side by side: runs that were tested on the same rows are ranked, and each pair of them is compared."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from emotion_lit.errors import UserError
from emotion_lit.evaluation.bootstrap import DRAWS, LEVEL, holm, macro_f1_gain
from emotion_lit.reporting.figures import cost_figure
from emotion_lit.reporting.page import Part, Picture, Section, Table, write_document
from emotion_lit.reporting.run_report import Report
from emotion_lit.reporting.runs import Run, by_task
from emotion_lit.utils import platforms

UNTOLD = ("labels", "temperature", "threshold", "classes")
# Drawings for each pair of runs: p-values have to be small enough to be multiplied by the number of pairs.
DRAWS_PER_PAIR = 100


def compare(folders: Sequence[Path], output: Path) -> list[tuple[str, list[list[str]]]]:
    """Writes ``comparison.html`` and ``comparison.md``.

    Args:
        folders: The run folders.
        output: Where to.

    Returns:
        For each group of runs that were tested on the same rows: what these are, and a table, the best run first.

    Raises:
        UserError: One of them has no whole report, or the output cannot be written.
    """
    groups = by_task(folders)
    figures, sections = {}, []
    for number, runs in enumerate(groups, 1):
        name = "cost" if number == 1 else f"cost_{number}"
        figures[name] = cost_figure([{"name": r.name, "seconds": r.seconds, "macro_f1": r.macro_f1} for r in runs])
        picture = Picture(name, "Macro-F1 on test against the seconds of training, run by run")
        sections.append(Section(_title(runs), [Table(_overview(runs)), *_pairs(runs), picture]))
    if len(groups) > 1:
        sections[0].parts.insert(
            0, "Runs that were tested on other rows, labels or classes are apart, because their scores do not compare."
        )
    sections.append(Section("Settings that differ", _differences([run for runs in groups for run in runs])))
    try:
        write_document(sections, figures, output, "comparison")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}; give another folder with --output") from error
    return [(_title(runs), _overview(runs)) for runs in groups]


def _title(runs: Sequence[Run]) -> str:
    """What runs were tested on."""
    rows = runs[0].evidence
    datasets = dict.fromkeys(platforms.last_name(str(run.report["data"].get("dataset", "a data set"))) for run in runs)
    several = "several per text" if rows.multi_label else "one per text"
    count = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
    return f"{count} on {len(rows.texts):,} test texts of {', '.join(datasets)}, {len(rows.labels)} classes, {several}"


def _overview(runs: Sequence[Run]) -> list[list[str]]:
    rows = [["run", "macro-F1", "accuracy", "ECE", "training rows", "epochs", "seconds", "parameters trained"]]
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
    """Whether the better run of each pair is better by more than chance."""
    pairs = list(itertools.combinations(runs, 2))
    if not pairs:
        return []
    draws = max(DRAWS, DRAWS_PER_PAIR * len(pairs))
    gains = [macro_f1_gain(better.outputs, other.outputs, draws) for better, other in pairs]
    p_values = holm([gain.p_value or 0.0 for gain in gains])
    rows = [["run", "than", "macro-F1 higher by", "95% interval", "p-value", ""]]
    for (better, other), gain, p_value in zip(pairs, gains, p_values, strict=True):
        judged = "more than chance" if p_value < 1 - LEVEL else "may be chance"
        interval = f"{gain.low:+.4f} to {gain.high:+.4f}"
        rows.append([better.name, other.name, f"{gain.value:.4f}", interval, f"{p_value:.4f}", judged])
    corrected = f", corrected for {len(pairs)} comparisons (Holm)" if len(pairs) > 1 else ""
    return [Table(rows), f"Intervals and p-values are by drawing the test texts again {draws:,} times{corrected}."]


def _differences(runs: Sequence[Run]) -> list[Part]:
    flat = [_settings(run.report) for run in runs]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differing = [key for key in keys if len({one.get(key, "") for one in flat}) > 1]
    if not differing:
        return ["None."]
    rows = [["setting", *(run.name for run in runs)]]
    rows += [[key, *(one.get(key, "") for one in flat)] for key in differing]
    return [Table(rows)]


def _settings(report: Report) -> dict[str, str]:
    parts = {"model": report["model"], "data": report["data"].get("settings", {}), "trainer": {}}
    parts["trainer"] = {key: report["training"][key] for key in ("epochs", "precision")}
    flat = {}
    for part, values in parts.items():
        for key, value in values.items():
            if key not in UNTOLD:
                flat[f"{part}.{key}"] = "" if value is None else str(value)
    return flat
