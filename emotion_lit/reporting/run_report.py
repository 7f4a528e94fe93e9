"""The report of a run: ``report.json``, ``report.md``, ``report.html`` and its figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from emotion_lit.errors import UserError
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, PredictionTable
from emotion_lit.reporting import figures
from emotion_lit.reporting.learning_curves import learning_figure
from emotion_lit.reporting.page import write_page
from emotion_lit.reporting.report_keys import Report, with_earlier_keys, with_present_keys
from emotion_lit.reporting.report_sections import report_sections, subtitle
from emotion_lit.utils.commands import finish_advice
from emotion_lit.utils.files import write_text

PREDICTIONS_FILE = "predictions.parquet"
REQUIRED = {"after", "model", "training", "data", "calibration", "baselines"}


def draw_figures(
    report: Report, table: PredictionTable, curves: Mapping[str, Sequence[tuple[float, float]]]
) -> dict[str, Figure]:
    """The figures of a report, by name.

    Args:
        report: The report.
        table: The predictions of the test rows.
        curves: The learning curves: steps and values by the tag of a scalar.
    """
    after = table.predictions(AFTER)
    drawn = {
        "confusion": figures.confusion_figure(after, table.labels),
        "reliability": figures.reliability_figure(report["calibration"]["reliability"]),
        "precision_recall": figures.precision_recall_figure(after, table.labels),
        "risk_coverage": figures.risk_coverage_figure(report["calibration"]["risk_coverage"]),
        "learning": learning_figure(curves),
    }
    if BEFORE in report:
        drawn["per_class"] = figures.per_class_figure(report[BEFORE], report[AFTER])
    return drawn


def write_report(report: Report, drawn: Mapping[str, Figure], folder: Path) -> None:
    """Writes the three files and the figures; ``report.json`` comes last and marks the report as complete.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_page(report_sections(report), drawn, folder, "report", subtitle(report))
    text = json.dumps(with_earlier_keys(report), indent=2, ensure_ascii=False)
    write_text(folder / "report.json", text + "\n")


def read_report(folder: Path) -> Report:
    """Reads the report of a run, given its folder.

    Raises:
        UserError: There is none, or it is incomplete.
    """
    file = folder / "report.json"
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}; runs are in logs/<name>/version_N")
    again = finish_advice(folder)
    if not file.is_file():
        raise UserError(f"{folder} has no report.json: the run has not ended, or this is not a run folder; {again}")
    try:
        report: Report = with_present_keys(json.loads(file.read_text(encoding="utf-8")))
        missing = REQUIRED - set(report)
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is incomplete; {again}") from error
    if missing:
        raise UserError(f"{file} lacks {', '.join(sorted(missing))}; {again}")
    return report
