"""The page of a sweep: the result, the history, what mattered, and every trial."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from emotion_lit.reporting.page import Picture, Section, Table, write_page
from emotion_lit.sweep.comparison import Comparison
from emotion_lit.sweep.figures import cost_figure, history_figure, importance_figure, score_of, slice_figure
from emotion_lit.sweep.progress import metric_name, result_lines
from emotion_lit.sweep.space import Space, contains, described, rounded
from emotion_lit.sweep.study import finished, is_default

PAGE = "sweep"
# Fewer complete trials say nothing about the importance of settings.
FEWEST_TRIALS = 6


def write_sweep_page(
    folder: Path,
    name: str,
    study: optuna.Study,
    space: Space,
    best: FrozenTrial,
    comparison: Comparison | None,
    metric: str,
    command: str,
) -> Path:
    """Writes ``sweep.html`` and ``sweep.md``.

    Args:
        folder: The folder of the sweep.
        name: The name of the sweep.
        study: The study.
        space: The search space.
        best: The best trial.
        comparison: The comparison on the test split.
        metric: The metric that trials are compared by.
        command: The command that trains the best configuration on all rows.

    Returns:
        The page.

    Raises:
        OSError: A file cannot be written.
    """
    trials = finished(study)
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    title, counted = metric_name(metric), f"{sum(trial.state == TrialState.COMPLETE for trial in trials)} complete"
    figures = {
        "history": history_figure(trials, title, maximize),
        "cost": cost_figure(trials, title),
        "importance": importance_figure(importances(study, space)),
        "slices": slice_figure(trials, space, title),
    }
    sections = [
        Section(
            f"Sweep {name}", [*result_lines(trials, best, comparison, metric), f"To train it on all rows: {command}"]
        ),
        Section("Best settings", [Table(_best_rows(trials, best, space), texts=True)]),
        *_figure_sections(counted),
        Section("All trials", [Table(_trial_rows(trials, space, title, maximize))]),
    ]
    write_page(sections, figures, folder, PAGE, f"{len(trials)} trials, {counted}")
    return folder / f"{PAGE}.html"


def _figure_sections(counted: str) -> list[Section]:
    return [
        Section(
            "Trials over time",
            [
                "Pruned trials have the score that they had when they were stopped, on a part of the validation rows.",
                Picture("history", "The score of each trial, and the best one so far"),
                Picture("cost", "The score of each trial against its time"),
            ],
        ),
        Section(
            "What mattered",
            [
                f"The importance is the share of the variance of the score over the {counted} trials that a setting "
                "explains (functional ANOVA, Hutter et al. 2014). Settings that ruin a trial are pruned, and look less "
                "important than they are.",
                Picture("importance", "The importance of each setting"),
                Picture("slices", "The score of each trial against its value of each setting"),
            ],
        ),
    ]


def importances(study: optuna.Study, space: Space) -> dict[str, float]:
    """The importance of each setting, from 0 to 1; empty if too few trials are complete."""
    complete = [trial for trial in finished(study) if trial.state == TrialState.COMPLETE and _is_inside(trial, space)]
    if len(complete) < FEWEST_TRIALS or len({trial.value for trial in complete}) == 1:
        return {}
    copied = optuna.create_study(direction=study.direction)  # in which all trials have the same space
    copied.add_trials(
        [create_trial(params=trial.params, distributions=dict(space), value=trial.value) for trial in complete]
    )
    return get_param_importances(copied, evaluator=FanovaImportanceEvaluator(seed=0))


def _is_inside(trial: FrozenTrial, space: Space) -> bool:
    return all(key in trial.params and contains(one, trial.params[key]) for key, one in space.items())


def _best_rows(trials: Sequence[FrozenTrial], best: FrozenTrial, space: Space) -> list[list[str]]:
    given: Mapping[str, Any] = next((trial.params for trial in trials if is_default(trial)), {})
    rows = [["setting", "as given", "best", "searched"]]
    for key, distribution in space.items():
        rows.append([key, _cell(given.get(key)), _cell(best.params.get(key)), described(distribution)])
    return rows


def _trial_rows(trials: Sequence[FrozenTrial], space: Space, metric: str, maximize: bool) -> list[list[str]]:
    """All trials, the best one first, and pruned ones by their last score below the complete ones."""

    def rank(trial: FrozenTrial) -> tuple[bool, float]:
        score = score_of(trial)
        worst = float("inf")
        return trial.state != TrialState.COMPLETE, worst if score is None else -score if maximize else score

    rows = [["trial", metric, "state", "seconds", *space]]
    for trial in sorted(trials, key=rank):
        score, state = score_of(trial), trial.state.name.lower()
        if error := trial.user_attrs.get("error"):
            state = f"failed: {error}"
        elif trial.user_attrs.get("cut") or trial.state == TrialState.PRUNED:
            state = f"{'cut' if trial.user_attrs.get('cut') else state} at {trial.user_attrs['share']:.0%}"
        name = f"{trial.number} (as given)" if is_default(trial) else str(trial.number)
        values = [_cell(trial.params.get(key)) for key in space]
        rows.append(
            [name, "" if score is None else f"{score:.4f}", state, f"{trial.user_attrs['seconds']:.1f}", *values]
        )
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else f"{rounded(value):g}" if isinstance(value, float) else str(value)
