"""The report of a run: ``report.json``, ``report.md`` and ``report.html``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from emotion_lit.errors import UserError
from emotion_lit.evaluation.bootstrap import Gain
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MAJORITY, TFIDF, Evidence
from emotion_lit.reporting import figures
from emotion_lit.reporting.page import Part, Picture, Section, Table, write_document
from emotion_lit.reporting.tables import class_rows, headline_rows, source_rows, split_rows
from emotion_lit.utils.commands import how_to_end
from emotion_lit.utils.files import write_text
from emotion_lit.utils.names import dataset_name, shown

Report = dict[str, Any]
EVIDENCE = "predictions.parquet"
NAMES = {
    MAJORITY: "frequent class",
    TFIDF: "words alone",
    BEFORE: "untouched",
    AFTER: "fine-tuned",
}
LONGEST_TEXT = 160


def draw_figures(report: Report, evidence: Evidence, history: Mapping[str, Any]) -> dict[str, Figure]:
    """The pictures of a report.

    Args:
        report: The report.
        evidence: The test rows.
        history: Steps and values by the name of the curve.
    """
    after = evidence.outputs(AFTER)
    drawn = {
        "confusion": figures.confusion_figure(after, evidence.labels),
        "reliability": figures.reliability_figure(report["calibration"]["reliability"]),
        "precision_recall": figures.precision_recall_figure(after, evidence.labels),
        "risk_coverage": figures.risk_coverage_figure(report["calibration"]["risk_coverage"]),
        "learning": figures.learning_figure(dict(history)),
    }
    if "before" in report:
        drawn["per_class"] = figures.per_class_figure(report["before"], report["after"])
    return drawn


def write_report(report: Report, drawn: Mapping[str, Figure], folder: Path) -> None:
    """Writes the three files and the figures; ``report.json`` last, as the sign that all is there.

    Args:
        report: The report.
        drawn: Its figures.
        folder: The run folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_document(contents(report), drawn, folder, "report", _front(report))
    write_text(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def read_report(folder: Path) -> Report:
    """The report that a run has kept.

    Args:
        folder: The run folder.

    Raises:
        UserError: There is none, or it is not whole.
    """
    file = folder / "report.json"
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}; runs are in logs/<name>/version_N")
    again = how_to_end(folder)
    if not file.is_file():
        raise UserError(f"{folder} has no report.json: the run has not ended, or it is no run; {again}")
    try:
        report: Report = json.loads(file.read_text(encoding="utf-8"))
        missing = {"after", "model", "training", "data", "calibration", "ladder"} - set(report)
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is not whole; {again}") from error
    if missing:
        raise UserError(f"{file} lacks {', '.join(sorted(missing))}; {again}")
    return report


def contents(report: Report) -> list[Section]:
    """What the report says.

    Args:
        report: The report.
    """
    columns = _columns(report)
    after = report["after"]
    sections = [
        Section(f"{report['model']['backbone']}, {report['model']['tuning']}: before and after", _summary(report)),
        Section("What each step is worth", _ladder(report)),
        Section("Per class", [Table(class_rows(columns)), Picture("per_class", "F1 of each class before and after")]),
        Section("Where it fails", _failures(report)),
        Section("Can the score be trusted?", _trust(report)),
        Section("Do probabilities mean what they say?", _calibration(report)),
    ]
    if after["per_source"]:
        sections.append(Section("Per source", [Table(source_rows(columns))]))
    return [*sections, *_about_the_run(report)]


def _columns(report: Report) -> dict[str, Any]:
    return {key: report[key] for key in (BEFORE, AFTER) if key in report}


def _accuracy(report: Report) -> str:
    if "macro_average_precision" not in report[AFTER]:
        return "Accuracy is the share of texts whose most probable class is right (any label: one of its classes)."
    return (
        "Accuracy is the share of texts of which all classes are predicted, and no others. Macro average precision is "
        "how well the classes that are there are ranked, whatever the thresholds."
    )


def _summary(report: Report) -> list[Part]:
    columns = _columns(report)
    parts: list[Part] = [
        "The pre-trained model with a fresh head, and the checkpoint that was the best on validation, on the same "
        f"{report['after']['rows']:,} test texts of {dataset_name(report['data'])}.",
        Table(headline_rows(columns)),
        f"{_accuracy(report)} Macro-F1 "
        f"weighs all classes alike, however rare{_classes_scored(report)}; it is scikit-learn's "
        "f1_score(average='macro', zero_division=0). Loss "
        "is the cross-entropy against all classes of a text, log loss against its first one. The Brier score is the "
        "squared error of the probabilities. ECE is by how much the stated probability is "
        "off on average, over 15 bins.",
    ]
    parts += [f"Warning: {warning}." for warning in report["data"].get("warnings", [])]
    if invalid := report["after"]["invalid_rows"]:
        parts.append(f"The model gave no valid probabilities for {invalid:,} texts, which count as if it knew nothing.")
    return parts


def _classes_scored(report: Report) -> str:
    """Over how many classes macro-F1 is, where that is not all of them."""
    after = report[AFTER]
    scored, classes = after.get("macro_f1_classes"), len(after["per_class"])
    return "" if scored in (None, classes) else f", here {scored:,} of {classes:,}"


def _ladder(report: Report) -> list[Part]:
    rungs = report["ladder"]
    gains = [Gain(**rung["gain"]) if rung["gain"] else None for rung in rungs]
    own = [rung["macro_f1_interval"] for rung in rungs]
    rows = [
        ["", *(NAMES[rung["name"]] for rung in rungs)],
        ["accuracy", *(f"{rung['accuracy']:.4f}" for rung in rungs)],
        ["macro-F1", *(f"{rung['macro_f1']:.4f}" for rung in rungs)],
        ["its 95% interval", *(f"{one['low']:.3f} to {one['high']:.3f}" for one in own)],
        ["gain over the left", *(f"{gain.value:+.4f}" if gain else "" for gain in gains)],
        ["its 95% interval", *(f"{gain.low:+.3f} to {gain.high:+.3f}" if gain else "" for gain in gains)],
        ["log loss", *(f"{rung['log_loss']:.4f}" for rung in rungs)],
        ["ECE", *(f"{rung['ece']:.4f}" for rung in rungs)],
        ["seconds to train", *(f"{rung['seconds']:,.1f}" if "seconds" in rung else "" for rung in rungs)],
        ["numbers trained", *(_short_number(rung["parameters"]) if "parameters" in rung else "" for rung in rungs)],
    ]
    return [
        Table(rows),
        "Words alone is logistic regression on TF-IDF; untouched is the pre-trained encoder with a head that has "
        "learned nothing. Intervals are by drawing the test texts again 2,000 times, for a gain both models' together.",
        *_over_words(report["gain_over_words"]),
    ]


def _over_words(gain: dict[str, float] | None) -> list[Part]:
    if gain is None:
        return []
    interval = Gain(**gain)
    judged = "more than chance" if interval.excludes_zero else "which may be chance"
    return [
        f"Over words alone, fine-tuning has gained {interval.value:+.4f} macro-F1 ({interval.low:+.3f} to "
        f"{interval.high:+.3f}), {judged}."
    ]


def _short_number(count: float) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,.0f}"


def _failures(report: Report) -> list[Part]:
    pairs = [["true", "taken for", "texts", "of the true class"]]
    pairs += [
        [shown(one["truth"]), shown(one["prediction"]), f"{one['count']:,}", f"{one['share']:.1%}"]
        for one in report["confused_pairs"]
    ]
    mistakes = [["text", "true", "predicted", "confidence"]]
    mistakes += [
        [_cut(one["text"]), shown(one["truth"]), shown(one["prediction"]), f"{one['confidence']:.3f}"]
        for one in report["mistakes"]
    ]
    if not report["mistakes"]:
        return ["There is no mistake among the test texts.", Picture("confusion", "Confusion matrix")]
    return [
        Picture("confusion", "Confusion matrix: the share of each true class that was taken for each class"),
        Picture("precision_recall", "Precision against recall of each class"),
        "The classes that are most often taken for another:",
        Table(pairs),
        f"The {len(report['mistakes'])} mistakes that the model was surest of; some may be mistakes of the labels:",
        Table(mistakes, texts=True),
    ]


def _trust(report: Report) -> list[Part]:
    leakage = report["leakage"]
    removed = report["data"]["duplicates_removed"]
    before = (
        f"{removed['held_out']:,} texts left the training rows because they also stand in validation or test, and "
        f"{removed['repeated']:,} because they repeat another training text. "
        f"{removed.get('validation', 0):,} texts left the validation rows because they also stand in test."
        if removed
        else "Duplicates were not looked for before training (data.deduplicate: false)."
    )
    repeats = report["data"].get("repeats", {})  # earlier reports have none
    if repeats.get("merged"):
        before += f" {repeats['merged']:,} rows repeated a text with other labels, and were merged into one row each."
    if repeats.get("outvoted"):
        before += (
            f" {repeats['outvoted']:,} rows repeated a text with another label than most of its rows, whose label "
            "counts."
        )
    rows = [["", "texts", "accuracy", "macro-F1"]]
    for name, title in (("all", "all test texts"), ("clean", "without those")):
        part = leakage[name]
        scores = [f"{part[key]:.4f}" for key in ("accuracy", "macro_f1")] if part["rows"] else ["", ""]
        rows.append([title, f"{part['rows']:,}", *scores])
    return [
        before,
        f"Of the test texts, {leakage['same']:,} also stand in train, and {leakage['nearly']:,} nearly so (80% of "
        "their runs of five characters are the same). A model may have learned these by heart:",
        Table(rows),
    ]


def _calibration(report: Report) -> list[Part]:
    calibration = report["calibration"]
    rows = [["", "ECE", "Brier score", "log loss"]]
    for key, title in (("uncalibrated", "as trained"), ("calibrated", f"temperature {calibration['temperature']:.3f}")):
        rows.append([title, *(f"{calibration[key][name]:.4f}" for name in ("ece", "brier", "log_loss"))])
    parts: list[Part] = [
        "The temperature divides the logits. Unless model.temperature was typed, it was chosen on validation. It is "
        "kept in the checkpoint, and the most probable class stays; model.temperature: 1 leaves it out.",
        Table(rows),
        Picture("reliability", "Reliability diagram: the share that is right against the probability that was stated"),
        Picture("risk_coverage", "Accuracy against the share of texts that the model labels, the surest first"),
    ]
    if calibration["thresholds"]:
        named = zip(report["confusion"]["labels"], calibration["thresholds"], strict=True)
        parts.append(
            "A class is predicted from these probabilities on, after the temperature. Unless model.threshold was "
            "typed, they were chosen on the validation texts by F1:"
        )
        parts.append(Table([["class", "threshold"], *([shown(label), f"{value:.3f}"] for label, value in named)]))
    return parts


def _about_the_run(report: Report) -> list[Section]:
    data = report["data"]
    validation = report["after"].get("validation")
    chosen: list[Part] = []
    if validation:
        chosen = [
            f"On the {validation['rows']:,} validation texts, which chose the checkpoint, the temperature and the "
            "thresholds:",
            Table(headline_rows({"after": validation})),
        ]
    return [
        Section(
            "Training",
            [
                Picture("learning", "Loss and macro-F1 on training and validation rows over the steps"),
                Table([["", "value"], *training_rows(report["training"])]),
                *chosen,
            ],
        ),
        Section("Data", [Table(split_rows(data))]),
        Section(
            "Environment",
            [Table([["", "value"], *([key, str(value)] for key, value in report["environment"].items())])],
        ),
    ]


def training_rows(training: dict[str, Any]) -> list[list[str]]:
    """What the training cost, for a table.

    Args:
        training: That part of the report.
    """
    rows = [
        ["wall time, validation included", f"{training['wall_seconds']:.1f} s"],
        ["evaluation, before and after", f"{training['evaluation_seconds']:.1f} s"],
        ["epochs, steps", f"{training['epochs']}, {training['steps']:,}"],
        ["samples per second", f"{training['samples_per_second']:,.1f}"],
        ["tokens per second", f"{training['tokens_per_second']:,.0f}"],
        ["steps per second", f"{training['steps_per_second']:.2f}"],
        ["padding", f"{training['padding_share']:.1%}"],
        ["waiting for batches", f"{training['loading_share']:.1%} of the time"],
        ["precision", training["precision"]],
        ["trainable parameters", f"{training['trainable_parameters']:,} of {training['total_parameters']:,}"],
        ["peak memory", f"{training['peak_memory_mb']:,.0f} MiB"],
    ]
    if training["matrix_peak_gflops"]:  # with several processes it is not measured
        rows.append(["matrix products", f"{training['gflops_per_second']:,.1f} GFLOP/s"])
        rows.append(["of what large ones reach here", f"{training['peak_share']:.0%}"])
    if training["checkpoint_bytes"]:
        rows.append(["checkpoint", f"{training['checkpoint_bytes'] / 2**20:.1f} MiB"])
    return rows


def _front(report: Report) -> str:
    environment = report["environment"]
    return (
        f"emotion_lit {environment['emotion_lit']}, {environment['device']}, {environment['threads']} threads; "
        f"trained in {_duration(report['training']['wall_seconds'])}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:,.0f} minutes"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
