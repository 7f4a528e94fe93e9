"""Several runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_lit.errors import UserError
from emotion_lit.evaluation.bootstrap import macro_f1_gain
from emotion_lit.evaluation.document import Part, Picture, Section, Table, write_document
from emotion_lit.evaluation.evidence import AFTER, Evidence
from emotion_lit.evaluation.figures import cost_figure
from emotion_lit.evaluation.report import EVIDENCE, Report, read_report

UNTOLD = ("labels", "temperature", "threshold", "classes")


@dataclass(frozen=True)
class Run:
    """A run that has come to its report.

    Args:
        folder: Its folder.
        report: Its report.
    """

    folder: Path
    report: Report

    @property
    def name(self) -> str:
        """Its name and version."""
        resolved = self.folder.resolve()
        return f"{resolved.parent.name}/{resolved.name}"

    @property
    def macro_f1(self) -> float:
        """Its score on the test rows."""
        return float(self.report["after"]["macro_f1"])

    @property
    def seconds(self) -> float:
        """What training took."""
        return float(self.report["training"]["train_seconds"] + self.report["training"]["encode_seconds"])


def compare(folders: Sequence[Path], output: Path) -> list[list[str]]:
    """Writes ``comparison.html`` and ``comparison.md``.

    Args:
        folders: The run folders.
        output: Where to.

    Returns:
        The table of runs, the best first.

    Raises:
        UserError: One of them has no whole report, or the output cannot be written.
    """
    runs = sorted((Run(folder, read_report(folder)) for folder in folders), key=lambda run: -run.macro_f1)
    rows = _overview(runs)
    points = [{"name": run.name, "seconds": run.seconds, "macro_f1": run.macro_f1} for run in runs]
    sections = [
        Section(f"{len(runs)} runs, the best first", [Table(rows), *_best_two(runs)]),
        Section("What they cost", [Picture("cost", "Macro-F1 on test against the seconds of training, run by run")]),
        Section("What differed", _differences(runs)),
    ]
    try:
        write_document(sections, {"cost": cost_figure(points)}, output, "comparison")
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}; give another folder with --output") from error
    return rows


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


def _best_two(runs: Sequence[Run]) -> list[Part]:
    """Whether the best run is better than the second by more than chance, where both had the same test rows."""
    first, second = runs[0], runs[1]
    ours, theirs = (Evidence.read(run.folder / EVIDENCE) for run in (first, second))
    if list(ours.texts) != list(theirs.texts) or list(ours.labels) != list(theirs.labels):
        return [f"{first.name} and {second.name} were not tested on the same texts, so their scores do not compare."]
    gain = macro_f1_gain(ours.outputs(AFTER), theirs.outputs(AFTER))
    judged = "more than chance" if gain.excludes_zero else "may be chance"
    return [
        f"{first.name} is {gain.value:+.4f} macro-F1 from {second.name} on the same {len(ours.texts):,} texts; "
        f"drawing these again 2,000 times gives {gain.low:+.4f} to {gain.high:+.4f} in 95 of 100: {judged}."
    ]


def _differences(runs: Sequence[Run]) -> list[Part]:
    flat = [_settings(run.report) for run in runs]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differing = [key for key in keys if len({one.get(key, "") for one in flat}) > 1]
    if not differing:
        return ["Nothing in their settings."]
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
