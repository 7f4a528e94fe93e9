"""The real program, killed at random moments."""

from pathlib import Path

import pytest

from tests.faults.kills import FIT, SUFFIXES, FitTrials, PredictTrials, kill


def test_fit_ends_the_same(tmp_path: Path) -> None:
    trials = FitTrials(tmp_path, seed=3)
    kill(trials, ["steps inside an epoch"], kills=3, per_run=[3])  # all settings in the long run
    assert not trials.failures


def test_predict_ends_the_same(tmp_path: Path, tiny_run: Path) -> None:
    trials = PredictTrials(tmp_path, tiny_run, seed=3)
    kill(trials, [".jsonl"], kills=3, per_run=[3])
    assert not trials.failures


@pytest.mark.slow
def test_fit_ends_the_same_fifty_times(tmp_path: Path) -> None:
    trials = FitTrials(tmp_path)
    kill(trials, list(FIT), kills=50)
    assert not trials.failures


@pytest.mark.slow
def test_predict_ends_the_same_fifty_times(tmp_path: Path, tiny_run: Path) -> None:
    trials = PredictTrials(tmp_path, tiny_run)
    kill(trials, SUFFIXES, kills=50)
    assert not trials.failures
