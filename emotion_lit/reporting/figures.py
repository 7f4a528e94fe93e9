"""Pictures of an evaluation, for the report and for TensorBoard."""

import functools
import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from sklearn.metrics import average_precision_score, precision_recall_curve

from emotion_lit.evaluation.error_analysis import confusion_shares
from emotion_lit.evaluation.predictions import Outputs
from emotion_lit.utils.colors import AFTER, BEFORE, LINES, colour
from emotion_lit.utils.console import say
from emotion_lit.utils.names import SHOWN_CLASSES, shown_apart

# Inches, so that letters stay legible when a page on a phone is as wide as the figure.
WIDTH, HEIGHT = 4.6, 3.9
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "svg.hashsalt": "emotion_lit",  # the same figure is the same file
    "svg.fonttype": "path",
}
# Points of a curve that are drawn.
POINTS = 300
LONGEST_NAME = 14
LEGEND_COLUMNS = 3
# matplotlib's own, which is there on every machine, and that of a Mac with a box for every character.
FONT, BOXES = "DejaVu Sans", ".LastResort"
# Up to so many classes get numbers in the confusion matrix.
NUMBERED = 12


def confusion_figure(outputs: Outputs, labels: Sequence[str]) -> Figure:
    """What was taken for what: shares of the rows of each true class.

    Args:
        outputs: The outputs.
        labels: The names of the classes.
    """
    shares, rows = confusion_shares(outputs), outputs.truth.sum(axis=0)
    confused = shares * rows[:, None] * ~np.eye(len(rows), dtype=bool)
    places = _most(confused.sum(axis=0) + confused.sum(axis=1), rows)
    title = f"What was taken for what{_of_all(places, labels, 'most often confused')}"
    shares, labels = shares[np.ix_(places, places)], [labels[place] for place in places]
    size = max(WIDTH, 1.5 + 0.32 * len(labels))
    figure, axes = _figure(title, size, size * 0.92)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = _short_names(labels)
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    if len(labels) <= NUMBERED:
        for (true, guess), share in np.ndenumerate(shares):
            if share:
                shade = "white" if share > 0.5 else "black"
                axes.text(guess, true, f"{share:.0%}", ha="center", va="center", color=shade, fontsize=8)
    return _legible(figure, names)


def reliability_figure(bins: Sequence[dict[str, float]]) -> Figure:
    """Whether probabilities mean what they say.

    Args:
        bins: What `reliability` gave.
    """
    figure, axes = _figure("Does 80% mean 80%?")
    if not bins:
        return _nothing(figure, axes, "no rows")
    stated, true, share = (np.array([one[key] for one in bins]) for key in ("stated", "true", "share"))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="as stated")
    axes.bar(stated, share, width=0.04, color=BEFORE, label="share of rows")
    axes.plot(stated, true, color=AFTER, marker="o", markersize=4, label="share that is right")
    axes.set(xlabel="probability stated", ylabel="share", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left")
    return figure


def precision_recall_figure(outputs: Outputs, labels: Sequence[str]) -> Figure:
    """Precision against recall for each class.

    Args:
        outputs: The outputs.
        labels: The names of the classes.
    """
    truth = outputs.truth
    places = _most(truth.sum(axis=0))
    figure, axes = _figure(f"Precision against recall{_of_all(places, labels, 'most frequent')}")
    names = _short_names([labels[place] for place in places])
    for place, name in zip(places, names, strict=True):
        if not truth[:, place].any():
            axes.plot([], [], " ", label=f"{name}: no rows")
            continue
        precision, recall, _ = precision_recall_curve(truth[:, place], outputs.probabilities[:, place])
        average = average_precision_score(truth[:, place], outputs.probabilities[:, place])
        drawn = np.unique(np.linspace(0, len(recall) - 1, POINTS).astype(int))
        style: Any = {"color": colour(labels[place], place), "linestyle": LINES[place % len(LINES)]}
        axes.plot(recall[drawn], precision[drawn], label=f"{name} {average:.2f}", linewidth=1.5, **style)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    figure.set_figheight(HEIGHT + 0.18 * (2 + len(names) // LEGEND_COLUMNS))
    figure.legend(
        frameon=False,
        fontsize=8,
        title="class and average precision",
        title_fontsize=8,
        ncols=LEGEND_COLUMNS,
        loc="outside lower center",
    )
    return _legible(figure, names)


def per_class_figure(before: dict[str, Any], after: dict[str, Any]) -> Figure:
    """F1 of each class before and after.

    Args:
        before: The scores of the untouched model.
        after: Those of the trained one.
    """
    every = list(after["per_class"])
    most = _most(np.array([scores["support"] for scores in after["per_class"].values()]))
    labels = [every[place] for place in most]
    title = f"F1 by class{_of_all(most, every, 'most frequent')}"
    figure, axes = _figure(title, WIDTH, max(HEIGHT, 0.9 + 0.3 * len(labels)))
    places, names = np.arange(len(labels)), _short_names(labels)
    for shift, scores, shade, hatch, name in (
        (-0.2, before, BEFORE, "", "before"),
        (0.2, after, AFTER, "//", "after"),
    ):
        values = [scores["per_class"][label]["f1"] for label in labels]
        axes.barh(places + shift, values, height=0.38, color=shade, hatch=hatch, edgecolor="white", label=name)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.01, place + shift, f"{value:.2f}", va="center", fontsize=7.5)
    support = [after["per_class"][label]["support"] for label in labels]
    axes.set_yticks(places, [f"{name} ({rows:,})" for name, rows in zip(names, support, strict=True)])
    axes.invert_yaxis()
    axes.set(xlabel="F1 (test rows in brackets)", xlim=(0, 1.08))
    figure.legend(frameon=False, ncols=2, loc="outside lower center")
    return _legible(figure, names)


def risk_coverage_figure(points: Sequence[dict[str, float]]) -> Figure:
    """Accuracy if the least confident rows are left to a person.

    Args:
        points: What `risk_coverage` gave.
    """
    figure, axes = _figure("If the unsure ones are left to a person")
    if not points:
        return _nothing(figure, axes, "no rows")
    coverage, accuracy = ([one[key] for one in points] for key in ("coverage", "accuracy"))
    axes.plot(coverage, accuracy, color=AFTER, marker="o", markersize=3)
    axes.axhline(accuracy[-1], color="black", linewidth=1, linestyle="--")
    axes.annotate(
        f"all rows: {accuracy[-1]:.1%}", (0.02, accuracy[-1]), textcoords="offset points", xytext=(0, -11), fontsize=8
    )
    low = min(accuracy) - 0.08
    axes.set(xlabel="share of rows that the model labels", ylabel="accuracy on these", xlim=(0, 1.03), ylim=(low, 1.02))
    return figure


def learning_figure(history: dict[str, Sequence[tuple[float, float]]]) -> Figure:
    """Training and validation over the steps.

    Args:
        history: Steps and values by the name of the curve, such as ``train/loss_epoch``.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    with matplotlib.rc_context(STYLE):
        panels = figure.subplots(2, 1, sharex=True)
        for axes, kind, name in zip(panels, ("loss", "macro_f1"), ("loss", "macro-F1"), strict=True):
            for stage, title, style in (("train", "training", "--"), ("val", "validation", "-")):
                points = history.get(f"{stage}/{kind}") or history.get(f"{stage}/{kind}_epoch") or []
                if points:
                    steps, values = zip(*points, strict=True)
                    shade = BEFORE if stage == "train" else AFTER
                    axes.plot(steps, values, style, color=shade, marker="o", markersize=3, label=title)
            axes.set_ylabel(name)
            if axes.lines:
                axes.legend(frameon=False, fontsize=8)
            else:
                _nothing(figure, axes, "this run kept no curves")
        panels[0].set_title("Learning")
        panels[1].set_xlabel("steps")
    return figure


def cost_figure(runs: Sequence[dict[str, Any]]) -> Figure:
    """Quality against cost, a point for each run.

    Args:
        runs: Per run ``name``, ``seconds`` and ``macro_f1``.
    """
    figure, axes = _figure("Quality against cost")
    for place, run in enumerate(runs):
        axes.plot(max(run["seconds"], 0.1), run["macro_f1"], "o", color=AFTER)
        above = 6 if place % 2 == 0 else -12
        axes.annotate(
            run["name"],
            (max(run["seconds"], 0.1), run["macro_f1"]),
            textcoords="offset points",
            xytext=(0, above),
            fontsize=7.5,
            ha="center",
        )
    axes.set_xscale("log")
    axes.margins(0.25)
    axes.set(xlabel="seconds of training", ylabel="macro-F1 on test")
    return _legible(figure, [run["name"] for run in runs])


def svg(figure: Figure) -> str:
    """A figure as SVG, with its letters as shapes, so that it looks the same everywhere.

    Args:
        figure: The figure.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _figure(title: str, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
    return figure, axes


def _legible(figure: Figure, names: Iterable[str]) -> Figure:
    """Gives a figure fonts that have the characters of some names, of those that the machine has."""
    fonts = _fonts("".join(sorted(set("".join(names)))))
    if fonts:
        for text in figure.findobj(Text):
            text.set_fontfamily([FONT, *fonts])
    return figure


@functools.cache
def _fonts(characters: str) -> tuple[str, ...]:
    """Fonts that have what matplotlib's own has not; characters that none has are said once, and drawn as boxes."""
    entries = sorted(
        fontManager.ttflist, key=lambda font: (font.name != FONT, font.style != "normal", font.weight != 400)
    )
    missing, fonts = {ord(char) for char in characters if not char.isspace()}, []
    for entry in entries:
        if not missing:
            break
        found = missing & _characters(entry)
        if found:
            missing -= found
            fonts.append(entry.name)
    if missing:
        some = "".join(map(chr, sorted(missing)[:8]))
        say(f"no font here has {some}: the figures show boxes; install one, such as Noto Sans CJK, and report again")
    return tuple(font for font in fonts if font != FONT)


def _characters(font: FontEntry) -> set[int]:
    try:
        return set() if font.name == BOXES else set(FT2Font(font.fname).get_charmap())
    except (OSError, RuntimeError):  # removed, or of a kind that matplotlib cannot draw
        return set()


def _nothing(figure: Figure, axes: Axes, why: str) -> Figure:
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color="#7f7f7f")
    return figure


def _most(*counts: npt.NDArray[Any]) -> list[int]:
    """The places of the classes that there is room for, in their order: those that count most, by the first that tells.

    Args:
        counts: What decides, then what decides between equals, ``[classes]`` each.
    """
    order = np.lexsort([-one for one in reversed(counts)])
    return sorted(order[:SHOWN_CLASSES].tolist())


def _of_all(places: Sequence[int], labels: Sequence[str], which: str) -> str:
    return f"\n(the {len(places)} {which} of {len(labels):,} classes)" if len(places) < len(labels) else ""


def _short_names(names: Sequence[str]) -> list[str]:
    return [name.replace("$", r"\$") for name in shown_apart(names, LONGEST_NAME)]  # not mathematics
