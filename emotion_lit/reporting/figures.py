"""Figures of an evaluation, for the report and for TensorBoard."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotion_lit.evaluation.error_analysis import confusion_shares
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.reporting.fonts import use_fonts_for
from emotion_lit.utils.colors import LINES, color
from emotion_lit.utils.names import SHOWN_CLASSES, shown_apart

# Inches, small enough that the text stays readable on a phone.
WIDTH, HEIGHT = 4.6, 3.9
BEFORE_COLOR, AFTER_COLOR = "#b0b0b0", "#0072b2"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "svg.hashsalt": "emotion_lit",  # the same figure is the same file
    "svg.fonttype": "path",
}
# The most points that a curve is drawn with.
POINTS = 300
LONGEST_NAME = 14
LEGEND_COLUMNS = 3
# Up to this number of classes, the confusion matrix shows its values as text.
ANNOTATED = 12


def confusion_figure(predictions: LabeledPredictions, labels: Sequence[str]) -> Figure:
    """Draws the confusion matrix, normalized over each true class.

    Args:
        predictions: The predictions.
        labels: The names of the classes.
    """
    shares, rows = confusion_shares(predictions), predictions.truth.sum(axis=0)
    confused = shares * rows[:, None] * ~np.eye(len(rows), dtype=bool)
    chosen = _largest(confused.sum(axis=0) + confused.sum(axis=1), rows)
    title = f"Confusion matrix{_of_all(chosen, labels, 'most often confused')}"
    shares, labels = shares[np.ix_(chosen, chosen)], [labels[index] for index in chosen]
    size = max(WIDTH, 1.5 + 0.32 * len(labels))
    figure, axes = new_figure(title, size, size * 0.92)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = _short_names(labels)
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(False)
    if len(labels) <= ANNOTATED:
        for (true, guess), share in np.ndenumerate(shares):
            if share:
                shade = "white" if share > 0.5 else "black"
                axes.text(guess, true, f"{share:.0%}", ha="center", va="center", color=shade, fontsize=8)
    return use_fonts_for(figure, names)


def reliability_figure(bins: Sequence[dict[str, float]]) -> Figure:
    """Draws the reliability diagram: accuracy against confidence.

    Args:
        bins: Those of `emotion_lit.evaluation.calibration.reliability`.
    """
    figure, axes = new_figure("Reliability diagram")
    if not bins:
        return write_note(figure, axes, "no texts")
    confidence, accuracy, share = (np.array([one[key] for one in bins]) for key in ("confidence", "accuracy", "share"))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="perfect calibration")
    axes.bar(confidence, share, width=0.04, color=BEFORE_COLOR, label="share of the predictions")
    axes.plot(confidence, accuracy, color=AFTER_COLOR, marker="o", markersize=4, label="accuracy")
    axes.set(xlabel="confidence (predicted probability)", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def precision_recall_figure(predictions: LabeledPredictions, labels: Sequence[str]) -> Figure:
    """Draws the precision-recall curve of each class.

    Args:
        predictions: The predictions.
        labels: The names of the classes.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    truth = predictions.truth
    chosen = _largest(truth.sum(axis=0))
    figure, axes = new_figure(f"Precision-recall curves{_of_all(chosen, labels, 'most frequent')}")
    names = _short_names([labels[index] for index in chosen])
    for index, name in zip(chosen, names, strict=True):
        if not truth[:, index].any():
            axes.plot([], [], " ", label=f"{name}: no texts")
            continue
        precision, recall, _ = precision_recall_curve(truth[:, index], predictions.probabilities[:, index])
        average = average_precision_score(truth[:, index], predictions.probabilities[:, index])
        drawn = np.unique(np.linspace(0, len(recall) - 1, POINTS).astype(int))
        style: Any = {"color": color(labels[index], index), "linestyle": LINES[index % len(LINES)]}
        axes.plot(recall[drawn], precision[drawn], label=f"{name} {average:.2f}", linewidth=1.5, **style)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    figure.set_figheight(HEIGHT + 0.18 * (2 + len(names) // LEGEND_COLUMNS))
    figure.legend(
        frameon=False,
        fontsize=8,
        title="class and its average precision",
        title_fontsize=8,
        ncols=LEGEND_COLUMNS,
        loc="outside lower center",
    )
    return use_fonts_for(figure, names)


def per_class_figure(before: dict[str, Any], after: dict[str, Any]) -> Figure:
    """Draws F1 of each class before and after fine-tuning.

    Args:
        before: The metrics before fine-tuning.
        after: The metrics after fine-tuning.
    """
    every = list(after["per_class"])
    chosen = _largest(np.array([scores["support"] for scores in after["per_class"].values()]))
    labels = [every[index] for index in chosen]
    title = f"F1 by class{_of_all(chosen, every, 'most frequent')}"
    figure, axes = new_figure(title, WIDTH, max(HEIGHT, 0.9 + 0.3 * len(labels)))
    places, names = np.arange(len(labels)), _short_names(labels)
    for shift, scores, shade, hatch, name in (
        (-0.2, before, BEFORE_COLOR, "", "before fine-tuning"),
        (0.2, after, AFTER_COLOR, "//", "after fine-tuning"),
    ):
        values = [scores["per_class"][label]["f1"] for label in labels]
        axes.barh(places + shift, values, height=0.38, color=shade, hatch=hatch, edgecolor="white", label=name)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.01, place + shift, f"{value:.2f}", va="center", fontsize=7.5)
    support = [after["per_class"][label]["support"] for label in labels]
    axes.set_yticks(places, [f"{name} ({rows:,})" for name, rows in zip(names, support, strict=True)])
    axes.invert_yaxis()
    axes.set(xlabel="F1 (number of test texts in parentheses)", xlim=(0, 1.08))
    figure.legend(frameon=False, fontsize=8, ncols=2, loc="outside lower center")
    return use_fonts_for(figure, names)


def risk_coverage_figure(points: Sequence[dict[str, float]]) -> Figure:
    """Draws the risk-coverage curve: the accuracy on the most confident texts, for growing shares of them.

    Args:
        points: Those of `emotion_lit.evaluation.calibration.risk_coverage`.
    """
    figure, axes = new_figure("Accuracy on the most confident texts")
    if not points:
        return write_note(figure, axes, "no texts")
    coverage, accuracy = ([one[key] for one in points] for key in ("coverage", "accuracy"))
    axes.plot(coverage, accuracy, color=AFTER_COLOR, marker="o", markersize=3)
    axes.axhline(accuracy[-1], color="black", linewidth=1, linestyle="--")
    axes.annotate(
        f"all texts: {accuracy[-1]:.1%}", (0.02, accuracy[-1]), textcoords="offset points", xytext=(0, -11), fontsize=8
    )
    low = min(accuracy) - 0.08
    axes.set(xlabel="coverage (share of the texts)", ylabel="accuracy", xlim=(0, 1.03), ylim=(low, 1.02))
    return figure


def new_figure(title: str, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with a title; sizes are in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
    return figure, axes


def write_note(figure: Figure, axes: Axes, note: str) -> Figure:
    """Writes why a figure is empty into it."""
    axes.text(0.5, 0.5, note, ha="center", va="center", transform=axes.transAxes, color="#7f7f7f")
    return figure


def svg(figure: Figure) -> str:
    """A figure as SVG, with its letters as shapes, so that it looks the same everywhere."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _largest(*counts: npt.NDArray[Any]) -> list[int]:
    """The indices, in ascending order, of the classes with the largest counts, as many as a figure has room for.

    Args:
        counts: What decides, then what decides between equals, ``[classes]`` each.
    """
    order = np.lexsort([-one for one in reversed(counts)])
    return sorted(order[:SHOWN_CLASSES].tolist())


def _of_all(chosen: Sequence[int], labels: Sequence[str], which: str) -> str:
    return f"\n(the {len(chosen)} {which} of {len(labels):,} classes)" if len(chosen) < len(labels) else ""


def _short_names(names: Sequence[str]) -> list[str]:
    return [name.replace("$", r"\$") for name in shown_apart(names, LONGEST_NAME)]  # not math
