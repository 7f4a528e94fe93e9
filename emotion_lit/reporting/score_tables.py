"""Scores and rows as cells, for the terminal and for pages; the first row is the heading."""

from typing import Any

from emotion_lit.evaluation.metrics import Scores
from emotion_lit.utils.names import SHOWN_CLASSES, shown

# What each metric is called, and its key in the scores.
METRICS = (
    ("accuracy", "accuracy"),
    ("accuracy, any label", "accuracy_any"),
    ("macro-F1", "macro_f1"),
    ("micro-F1", "micro_f1"),
    ("macro average precision", "macro_average_precision"),
    ("loss", "loss"),
    ("log loss", "log_loss"),
    ("Brier score", "brier"),
    ("ECE", "ece"),
)


def headline_rows(columns: dict[str, Scores]) -> list[list[str]]:
    """The metrics of a split, a column for each evaluation, by its heading."""
    rows = [["", *columns]]
    for name, key in METRICS:
        if all(key in scores for scores in columns.values()):
            rows.append([name, *(f"{scores[key]:.4f}" for scores in columns.values())])
    return rows


def class_rows(columns: dict[str, Scores]) -> list[list[str]]:
    """F1 of each class, a column for each evaluation; then precision, recall and support of the last one."""
    last = list(columns.values())[-1]["per_class"]
    which = f" {list(columns)[-1]}" if len(columns) > 1 else ""
    rows = [["class", *(f"F1 {heading}" for heading in columns), f"precision{which}", f"recall{which}", "support"]]
    for label, scores in last.items():
        f1 = [f"{evaluation['per_class'][label]['f1']:.3f}" for evaluation in columns.values()]
        rows.append(
            [shown(label), *f1, f"{scores['precision']:.3f}", f"{scores['recall']:.3f}", f"{scores['support']:,}"]
        )
    return rows


def source_rows(columns: dict[str, Scores]) -> list[list[str]]:
    """Accuracy and macro-F1 of each source, two columns for each evaluation; then the support."""
    headings = [f"{metric} {heading}" for heading in columns for metric in ("accuracy", "macro-F1")]
    rows = [["source", *headings, "support"]]
    for source, scores in list(columns.values())[-1]["per_source"].items():
        parts = [evaluation["per_source"][source] for evaluation in columns.values()]
        cells = [f"{part[key]:.3f}" for part in parts for key in ("accuracy", "macro_f1")]
        rows.append([source, *cells, f"{scores['support']:,}"])
    return rows


def split_rows(data: dict[str, Any]) -> list[list[str]]:
    """The number of rows of each class in each split, with totals.

    Args:
        data: That part of the report.
    """
    splits = list(data["rows"])
    labels = data["rows_per_class"][splits[0]]
    return [
        ["class", *splits],
        *([shown(label), *(f"{data['rows_per_class'][split][label]:,}" for split in splits)] for label in labels),
        ["total", *(f"{data['rows'][split]:,}" for split in splits)],
    ]


def shortened(rows: list[list[str]], where: str) -> list[list[str]]:
    """The rows of a table that a terminal has room for: the first ones, and the last.

    Args:
        rows: All rows.
        where: Where the others are shown.
    """
    more = len(rows) - SHOWN_CLASSES - 2
    if more <= 0:
        return rows
    left_out = [f"... {more:,} more, {where}", *([""] * (len(rows[0]) - 1))]
    return [*rows[: SHOWN_CLASSES + 1], left_out, rows[-1]]
