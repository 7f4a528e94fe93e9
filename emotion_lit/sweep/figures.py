"""The figures of a sweep."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from emotion_lit.reporting.figures import AFTER_COLOR, BEFORE_COLOR, STYLE, WIDTH, new_figure, write_note
from emotion_lit.reporting.fonts import use_fonts_for
from emotion_lit.sweep.space import Distribution, Space
from emotion_lit.sweep.study import is_default
from emotion_lit.utils.names import shown

BEST_COLOR = "#d55e00"
COLUMNS, PANEL_HEIGHT = 3, 2.1
MOST_CHOICES = 12


def score_of(trial: FrozenTrial) -> float | None:
    """The score of a complete trial, or the last one that a pruned trial reported."""
    if trial.state == TrialState.COMPLETE:
        return trial.value
    reported = trial.intermediate_values
    return reported[max(reported)] if reported else None


def history_figure(trials: Sequence[FrozenTrial], metric: str, maximize: bool) -> Figure:
    """Draws the score of each trial, and the best one so far.

    Args:
        trials: The finished trials.
        metric: The name of the score.
        maximize: Whether a larger score is better.
    """
    figure, axes = new_figure("History")
    _scatter(axes, trials, lambda trial: trial.number)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = (np.maximum if maximize else np.minimum).accumulate([float(trial.value or 0.0) for trial in complete])
    axes.step([trial.number for trial in complete], best, where="post", color=BEST_COLOR, label="best so far")
    axes.set(xlabel="trial", ylabel=f"{metric} on validation")
    axes.legend(frameon=False, fontsize=8)
    return figure


def cost_figure(trials: Sequence[FrozenTrial], metric: str) -> Figure:
    """Draws the score of each trial against its time."""
    figure, axes = new_figure("Quality and cost")
    _scatter(axes, trials, lambda trial: trial.user_attrs["seconds"])
    axes.set(xlabel="seconds", ylabel=f"{metric} on validation")
    axes.legend(frameon=False, fontsize=8)
    return figure


def importance_figure(importances: Mapping[str, float]) -> Figure:
    """Draws the importance of each setting.

    Args:
        importances: The share of the variance of the score that a setting explains, by its key.
    """
    figure, axes = new_figure("Importance of the settings")
    if not importances:
        return write_note(figure, axes, "too few complete trials")
    ranked = sorted(importances.items(), key=lambda item: item[1])
    axes.barh([key for key, _ in ranked], [value for _, value in ranked], color=AFTER_COLOR)
    axes.set(xlabel="share of the variance of the score", xlim=(0, 1))
    return figure


def slice_figure(trials: Sequence[FrozenTrial], space: Space, metric: str) -> Figure:
    """Draws the score of each trial against its value of each setting.

    Args:
        trials: The finished trials.
        space: The search space.
        metric: The name of the score.
    """
    rows = math.ceil(len(space) / COLUMNS)
    figure = Figure(figsize=(2 * WIDTH, 0.6 + rows * PANEL_HEIGHT), layout="constrained")
    names: list[str] = []
    with matplotlib.rc_context(STYLE):
        panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True)
        figure.suptitle("Score by setting", fontsize=10)
        for axes, (key, distribution) in zip(panels.flat, space.items(), strict=False):
            names += _slice(axes, [trial for trial in trials if key in trial.params], key, distribution)
            axes.set_xlabel(key)
        for axes in panels[:, 0]:
            axes.set_ylabel(metric)
        for axes in list(panels.flat)[len(space) :]:
            axes.set_visible(False)
    return use_fonts_for(figure, names)


def _slice(axes: Axes, trials: Sequence[FrozenTrial], key: str, distribution: Distribution) -> list[str]:
    """Draws one setting; returns the names of its choices."""
    if not isinstance(distribution, CategoricalDistribution):
        _scatter(axes, trials, lambda trial: trial.params[key])
        if getattr(distribution, "log", False):
            axes.set_xscale("log")
        return []
    _scatter(axes, trials, lambda trial: distribution.choices.index(trial.params[key]))
    names = [shown(str(one), 12).replace("$", r"\$") for one in distribution.choices[:MOST_CHOICES]]
    axes.set_xticks(range(len(names)), names)
    axes.margins(x=0.2)
    return names


def _scatter(axes: Axes, trials: Sequence[FrozenTrial], place: Any) -> None:
    """Draws trials as points: complete ones, pruned ones with their last score, and the configuration as given."""
    kinds = (
        ("pruned", "x", BEFORE_COLOR, lambda trial: trial.state == TrialState.PRUNED),
        ("complete", "o", AFTER_COLOR, lambda trial: trial.state == TrialState.COMPLETE and not is_default(trial)),
        ("as given", "D", "black", is_default),
    )
    for label, marker, shade, belongs in kinds:
        points = [(place(trial), score_of(trial)) for trial in trials if belongs(trial) and score_of(trial) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=shade, markersize=4.5, label=label)
