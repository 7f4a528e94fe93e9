"""What a sweep prints: each trial, the best one so far, the time left, and the result."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from emotion_lit.sweep.budget import Budget
from emotion_lit.sweep.comparison import Comparison
from emotion_lit.sweep.study import is_default
from emotion_lit.utils import console
from emotion_lit.utils.durations import duration
from emotion_lit.utils.names import shown


def metric_name(metric: str) -> str:
    """The name of a monitored metric in a sentence."""
    names = {"val/macro_f1": "macro-F1", "val/macro_average_precision": "macro average precision"}
    return names.get(metric, metric.removeprefix("val/").replace("_", " "))


def say_begin(
    number: int,
    values: Mapping[str, Any],
    done: Sequence[FrozenTrial],
    trials: int | None,
    budget: Budget,
    best: FrozenTrial | None,
) -> None:
    """Prints which trial begins, the best score so far, and the time left.

    Args:
        number: The number of the trial.
        values: Its values; none for the configuration as given.
        done: The finished trials.
        trials: The number of trials; None if only the time is limited.
        budget: The budget.
        best: The best trial so far.
    """
    of = f" of {trials}" if trials else ""
    what = ", ".join(f"{key} {shown(str(value), 20)}" for key, value in values.items()) or "the configuration as given"
    so_far = [f"best so far {best.value:.4f} (trial {best.number})"] if best else []
    left = budget.left()
    if done and trials is not None:
        mean = statistics.fmean(trial.user_attrs.get("seconds", 0.0) for trial in done)
        left = min(left if left is not None else float("inf"), (trials - len(done)) * mean)
    so_far += [f"about {duration(left)} left"] if left is not None else []
    console.say(f"trial {number} ({len(done) + 1}{of}{'; ' if so_far else ''}{'; '.join(so_far)}): {what}")


def say_end(trial: FrozenTrial, metric: str) -> None:
    """Prints the score of a trial.

    Args:
        trial: The trial, finished.
        metric: The metric that trials are compared by.
    """
    seconds, name = f"{trial.user_attrs['seconds']:.1f} s", metric_name(metric)
    if error := trial.user_attrs.get("error"):
        console.say(f"trial {trial.number} could not be trained: {error}")
    elif trial.state == TrialState.PRUNED:
        share, last = trial.user_attrs["share"], trial.intermediate_values[max(trial.intermediate_values)]
        console.say(f"trial {trial.number} was pruned after {share:.0%} of its training, {name} {last:.4f}, {seconds}")
    else:
        cut = f", cut at {trial.user_attrs['share']:.0%} of its training" if trial.user_attrs.get("cut") else ""
        console.say(f"trial {trial.number}: {name} {trial.value:.4f} on validation, {seconds}{cut}")


def say_result(
    study: optuna.Study, best: FrozenTrial, comparison: Comparison | None, metric: str, seconds: float
) -> None:
    """Prints the best trial and its comparison with the configuration as given.

    Args:
        study: The study.
        best: The best trial.
        comparison: The comparison.
        metric: The metric that trials are compared by.
        seconds: The time that the trials took.
    """
    trials = study.get_trials(deepcopy=False)
    failed = sum("error" in trial.user_attrs for trial in trials if trial.state == TrialState.PRUNED)
    complete, pruned = (sum(one.state == state for one in trials) for state in (TrialState.COMPLETE, TrialState.PRUNED))
    others = f"; {failed} could not be trained" if failed else ""
    console.say(f"\n{complete} complete, {pruned - failed} pruned trials in {duration(seconds)}{others}")
    for line in result_lines(trials, best, comparison, metric):
        console.show(line)


def result_lines(
    trials: Sequence[FrozenTrial], best: FrozenTrial, comparison: Comparison | None, metric: str
) -> list[str]:
    """The result in sentences, for the terminal and the page."""
    name = metric_name(metric)
    given = next((trial for trial in trials if is_default(trial) and trial.state == TrialState.COMPLETE), best)
    if is_default(best):
        lines = [f"The configuration as given is the best one, with {name} {best.value:.4f} on validation."]
    else:
        lines = [
            f"Trial {best.number} is the best one, with {name} {best.value:.4f} on validation; the configuration as "
            f"given has {given.value:.4f}."
        ]
    if comparison is None:
        return lines
    if comparison.gain is None:
        return [*lines, f"Its macro-F1 on the test split is {comparison.best.value:.4f}."]
    gain = comparison.gain
    verdict = "statistically significant" if gain.excludes_zero else "not statistically significant: it may be noise"
    return [
        *lines,
        f"On the test split, which was scored once, macro-F1 is {comparison.best.value:.4f}, and as given "
        f"{comparison.given.value:.4f}: a difference of {gain.value:+.4f} (95% interval {gain.low:+.4f} to "
        f"{gain.high:+.4f}, p-value {gain.p_value:.4f}, paired bootstrap), which is {verdict}.",
    ]


def say_files(config: Path, page: Path, folder: Path, command: str) -> None:
    """Prints where the results are, and the command that trains the best configuration on all rows."""
    console.say(
        f"\nbest         {config}\npage         {page}\ntensorboard  tensorboard --logdir {folder}\n"
        f"train it     {command}",
        wrap=False,
    )
