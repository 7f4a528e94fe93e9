"""Learning curves: read from the scalars that a run logs for TensorBoard, and drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from emotion_lit.reporting.figures import AFTER_COLOR, BEFORE_COLOR, HEIGHT, STYLE, WIDTH, write_note

TAGS = ("train/loss_epoch", "train/macro_f1", "val/loss", "val/macro_f1")

# By the tag of a scalar, its steps and values.
Curves = dict[str, list[tuple[float, float]]]


def read_learning_curves(folder: Path) -> Curves:
    """Reads loss and macro-F1 of training and validation from a run folder; empty if it has no TensorBoard events."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload()
    logged = set(events.Tags()["scalars"])
    # By step: a run that was killed and resumed has logged some steps twice.
    by_step = {tag: {float(one.step): one.value for one in events.Scalars(tag)} for tag in TAGS if tag in logged}
    return {tag: sorted(values.items()) for tag, values in by_step.items()}


def learning_figure(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draws loss and macro-F1 of training and validation over the steps.

    Args:
        curves: By the tag of a scalar, such as ``val/loss``, its steps and values.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    with matplotlib.rc_context(STYLE):
        panels = figure.subplots(2, 1, sharex=True)
        for axes, metric, name in zip(panels, ("loss", "macro_f1"), ("loss", "macro-F1"), strict=True):
            for stage, title, style in (("train", "training", "--"), ("val", "validation", "-")):
                points = curves.get(f"{stage}/{metric}") or curves.get(f"{stage}/{metric}_epoch") or []
                if points:
                    steps, values = zip(*points, strict=True)
                    shade = BEFORE_COLOR if stage == "train" else AFTER_COLOR
                    axes.plot(steps, values, style, color=shade, marker="o", markersize=3, label=title)
            axes.set_ylabel(name)
            if axes.lines:
                axes.legend(frameon=False, fontsize=8)
            else:
                write_note(figure, axes, "this run logged no curves")
        panels[0].set_title("Learning curves")
        panels[1].set_xlabel("steps")
    return figure
