"""The budget of a sweep: how long trials take, how much time is left, and whether another trial fits."""

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from emotion_lit.errors import UserError

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# The keys under which a trial records its time, and a study how long scoring takes.
SETUP, EPOCH, ALIVE = "setup_seconds", "epoch_seconds", "alive"
TEXT, TEST_ROWS, EPOCHS = "seconds_per_text", "test_rows", "epochs"
# Loading two checkpoints and writing the page.
CLOSING_SECONDS = 6.0


def parse_duration(text: str) -> float:
    """The seconds of a duration such as ``90s``, ``30min``, ``2h`` or ``1h 30min``.

    Raises:
        UserError: It is no duration.
    """
    words = text.strip().lower()
    parts = PART.findall(words)
    seconds = sum(float(number) * UNITS.get(unit, 0) for number, unit in parts)
    if not parts or PART.sub("", words).strip() or any(unit not in UNITS for _, unit in parts) or seconds <= 0:
        raise UserError(f"--budget is {text!r}; give a duration such as 90s, 30min or 2h")
    return seconds


class Budget:
    """The wall-clock time that a sweep may take, shared by all its processes.

    Time in which no trial ran does not count: a sweep that was killed goes on with what it had left.

    Args:
        seconds: The time; None if only the number of trials is limited.
        trials: The trials so far.
        started: When this command started, in seconds since the epoch.
    """

    def __init__(self, seconds: float | None, trials: Sequence[FrozenTrial], started: float) -> None:
        self.seconds = seconds
        self.deadline = None if seconds is None else started + seconds - busy_seconds(trials)

    def left(self) -> float | None:
        """The seconds left; None if time is not limited."""
        return None if self.deadline is None else self.deadline - time.time()

    def fits(self, expected: float | None, closing: float) -> bool:
        """Whether another trial fits, and the comparison on the test split after it.

        Args:
            expected: The seconds that a trial takes; None if that is not known yet.
            closing: The seconds that the end of the sweep takes.
        """
        left = self.left()
        return left is None or left >= (expected or 0.0) + closing


def busy_seconds(trials: Sequence[FrozenTrial]) -> float:
    """The time in which at least one trial ran."""
    total, end = 0.0, 0.0
    for begin, finish in sorted(_span(trial) for trial in trials if trial.datetime_start):
        total += max(0.0, finish - max(begin, end))
        end = max(end, finish)
    return total


def _span(trial: FrozenTrial) -> tuple[float, float]:
    begin = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    if trial.state in FINISHED and trial.datetime_complete:
        return begin, trial.datetime_complete.timestamp()
    if trial.state == TrialState.RUNNING:
        return begin, max(begin, time.time())
    return begin, max(begin, float(trial.user_attrs.get(ALIVE, begin)))  # it was killed


def expected_seconds(trials: Sequence[FrozenTrial], epochs: float) -> float | None:
    """How long a whole trial takes, by the median of the trials so far.

    Args:
        trials: The trials.
        epochs: The number of epochs.
    """
    timed = [trial.user_attrs for trial in trials if EPOCH in trial.user_attrs]
    if not timed:
        return None
    setup, epoch = (statistics.median(float(one[key]) for one in timed) for key in (SETUP, EPOCH))
    return setup + epochs * epoch


def closing_seconds(facts: Mapping[str, Any]) -> float:
    """How long the end of the sweep takes, in which two checkpoints are scored on the test split.

    Args:
        facts: The attributes of the study, with the time that scoring a text takes once that is measured.
    """
    return CLOSING_SECONDS + 2 * float(facts.get(TEXT, 0.0)) * int(facts.get(TEST_ROWS, 0))
