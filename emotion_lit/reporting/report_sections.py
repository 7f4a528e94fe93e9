"""The sections of a run's report: headings, sentences, tables and figures."""

from typing import Any

from emotion_lit.evaluation.bootstrap import SAMPLES, Gain
from emotion_lit.evaluation.calibration import BINS
from emotion_lit.evaluation.contamination import NGRAM, SIMILARITY
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE
from emotion_lit.reporting.page import Part, Picture, Section, Table
from emotion_lit.reporting.report_keys import Report
from emotion_lit.reporting.report_tables import baseline_rows, confused_rows, error_rows, training_rows
from emotion_lit.reporting.score_tables import class_rows, headline_rows, source_rows, split_rows
from emotion_lit.utils.durations import duration
from emotion_lit.utils.names import dataset_name, shown

_NEAR = f"at least {SIMILARITY:.0%} of their character {NGRAM}-grams are the same"


def report_sections(report: Report) -> list[Section]:
    """All sections of a report, in order; the first one's title is the page's."""
    scores = {key: report[key] for key in (BEFORE, AFTER) if key in report}
    model = report["model"]
    sections = [
        Section(f"{model['backbone']}, {model['tuning']}: before and after fine-tuning", _summary(report, scores)),
        Section("Comparison with baselines", _baselines(report)),
        Section(
            "Scores by class",
            [Table(class_rows(scores)), Picture("per_class", "F1 of each class before and after fine-tuning")],
        ),
        Section("Error analysis", _errors(report)),
        Section("Data contamination", _contamination(report)),
        Section("Calibration", _calibration(report)),
    ]
    if report[AFTER]["per_source"]:
        sections.append(Section("Scores by source", [Table(source_rows(scores))]))
    return [
        *sections,
        Section("Training", _training(report)),
        Section("Data", [Table(split_rows(report["data"]))]),
        Section(
            "Environment",
            [Table([["", "value"], *([key, str(value)] for key, value in report["environment"].items())])],
        ),
    ]


def subtitle(report: Report) -> str:
    """The line below the title of a report."""
    environment = report["environment"]
    return (
        f"emotion_lit {environment['emotion_lit']}, {environment['device']}, {environment['threads']} threads; "
        f"trained in {duration(report['training']['wall_seconds'])}"
    )


def _summary(report: Report, scores: dict[str, Any]) -> list[Part]:
    after = report[AFTER]
    parts: list[Part] = [
        f"Scores on {after['rows']:,} test texts of {dataset_name(report['data'])}. Before: the pre-trained model with "
        "a new, untrained classification head. After: the checkpoint with the best validation score.",
        Table(headline_rows(scores)),
        f"{_accuracy(report)} Macro-F1 is the mean F1 of the classes, in which rare classes count as much as frequent "
        f"ones{_classes_scored(report)}; it is scikit-learn's f1_score(average='macro', zero_division=0). Loss is the "
        "cross-entropy against all classes of a text, log loss against its first class. The Brier score is the squared "
        "error of the probabilities. ECE (expected calibration error) is the mean difference between confidence and "
        f"accuracy over {BINS} bins. Loss, log loss, Brier score and ECE are better when lower.",
    ]
    parts += [f"Warning: {warning}." for warning in report["data"].get("warnings", [])]
    if invalid := after["invalid_rows"]:
        parts.append(
            f"The model gave no valid probabilities for {invalid:,} texts. They are scored with uniform probabilities."
        )
    return parts


def _accuracy(report: Report) -> str:
    if "macro_average_precision" not in report[AFTER]:
        return (
            "Accuracy is the share of texts whose predicted class is the true one (any label: one of the text's "
            "classes)."
        )
    return (
        "Accuracy is the share of texts whose predicted classes are exactly the true ones (subset accuracy). Macro "
        "average precision is the mean area under the classes' precision-recall curves, and does not depend on the "
        "decision thresholds."
    )


def _classes_scored(report: Report) -> str:
    """The number of classes that macro-F1 averages, if that is not all of them."""
    after = report[AFTER]
    scored, classes = after.get("macro_f1_classes"), len(after["per_class"])
    return "" if scored in (None, classes) else f" (here {scored:,} of {classes:,} classes)"


def _baselines(report: Report) -> list[Part]:
    return [
        Table(baseline_rows(report["baselines"])),
        "Majority class predicts the class frequencies of the training split for every text. TF-IDF is logistic "
        "regression on TF-IDF features of words and pairs of words. Before fine-tuning is the pre-trained encoder with "
        f"an untrained classification head. Confidence intervals come from {SAMPLES:,} bootstrap samples of the test "
        "texts; for a gain in macro-F1, both models are scored on the same samples.",
        *_gain_over_tfidf(report["gain_over_tfidf"]),
    ]


def _gain_over_tfidf(gain: dict[str, float] | None) -> list[Part]:
    if gain is None:
        return ["The TF-IDF baseline was left out (report.baselines: false)."]
    interval = Gain(**gain)
    significance = "statistically significant" if interval.excludes_zero else "not statistically significant"
    return [
        f"After fine-tuning, macro-F1 differs from that of the TF-IDF baseline by {interval.value:+.4f} (95% "
        f"confidence interval {interval.low:+.3f} to {interval.high:+.3f}), which is {significance}."
    ]


def _errors(report: Report) -> list[Part]:
    errors = report["most_confident_errors"]
    if not errors:
        return ["All test texts are predicted correctly.", Picture("confusion", "Confusion matrix")]
    return [
        Picture("confusion", "Confusion matrix: the share of each true class that was predicted as each class"),
        Picture("precision_recall", "Precision-recall curve of each class"),
        "The classes that are confused most often:",
        Table(confused_rows(report["confused_pairs"])),
        f"The {len(errors)} most confident errors; some of them may be wrong labels in the data:",
        Table(error_rows(errors), texts=True),
    ]


def _duplicates(removed: dict[str, int]) -> str:
    if not removed:
        return "Duplicates were not removed before training (data.deduplicate: false)."
    if not any(removed.values()):
        return "No text had to be removed as a duplicate before training."
    return (
        f"Before training, {removed['held_out']:,} texts were removed from train because they also occur in validation "
        f"or test, and {removed['repeated']:,} because they repeat another training text. "
        f"{removed.get('validation', 0):,} texts were removed from validation because they also occur in test."
    )


def _contamination(report: Report) -> list[Part]:
    duplicates = _duplicates(report["data"]["duplicates_removed"])
    repeats = report["data"].get("repeats", {})  # reports of earlier versions have none
    if repeats.get("merged"):
        duplicates += f" {repeats['merged']:,} rows repeat a text with other labels, and were merged into one row each."
    if repeats.get("outvoted"):
        duplicates += (
            f" {repeats['outvoted']:,} rows repeat a text with another label than the majority of its rows, whose "
            "label is used."
        )
    found = report["contamination"]
    if found is None:
        return [duplicates, "The test texts were not compared with train (report.baselines: false)."]
    if not found["same"] + found["nearly"]:
        return [duplicates, f"No test text occurs in train, and none is a near duplicate of a training text ({_NEAR})."]
    rows = [["", "texts", "accuracy", "macro-F1"]]
    for name, title in (("all", "all test texts"), ("clean", "without these texts")):
        part = found[name]
        scores = [f"{part[key]:.4f}" for key in ("accuracy", "macro_f1")] if part["rows"] else ["", ""]
        rows.append([title, f"{part['rows']:,}", *scores])
    return [
        duplicates,
        f"{found['same']:,} test texts still occur in train, and {found['nearly']:,} are near duplicates of a training "
        f"text ({_NEAR}). The model may have memorized these texts:",
        Table(rows),
    ]


def _calibration(report: Report) -> list[Part]:
    calibration = report["calibration"]
    rows = [["", "ECE", "Brier score", "log loss"]]
    titles = {"uncalibrated": "uncalibrated", "calibrated": f"temperature {calibration['temperature']:.3f}"}
    for key, title in titles.items():
        rows.append([title, *(f"{calibration[key][name]:.4f}" for name in ("ece", "brier", "log_loss"))])
    parts: list[Part] = [
        "Calibrated probabilities match how often predictions are correct. Logits are divided by a temperature, which "
        "was fitted on the validation split unless model.temperature was set. It is stored in the checkpoint, and does "
        "not change which class is the most probable; model.temperature: 1 turns it off.",
        Table(rows),
        Picture("reliability", "Reliability diagram: accuracy against confidence"),
        Picture("risk_coverage", "Accuracy on the most confident texts, for growing shares of the texts"),
    ]
    if calibration["thresholds"]:
        named = zip(report["confusion"]["labels"], calibration["thresholds"], strict=True)
        parts.append(
            "A class is predicted if its calibrated probability reaches its decision threshold. Unless "
            "model.threshold was set, each threshold is the one with the best F1 on the validation split:"
        )
        parts.append(Table([["class", "threshold"], *([shown(label), f"{value:.3f}"] for label, value in named)]))
    return parts


def _training(report: Report) -> list[Part]:
    parts: list[Part] = [
        Picture("learning", "Learning curves: loss and macro-F1 of training and validation over the steps"),
        Table([["", "value"], *training_rows(report["training"])]),
    ]
    if validation := report[AFTER].get("validation"):
        parts += [
            f"Scores on the {validation['rows']:,} validation texts, which the checkpoint, the temperature and "
            "(multi-label) the decision thresholds were chosen on:",
            Table(headline_rows({"validation": validation})),
        ]
    return parts
