"""The real program, killed at random moments."""

from pathlib import Path

import pytest

from tests.faults.kills import FIT, SUFFIXES, FitTrials, PredictTrials, kill

# One after the other in CI; all of them in the long run.
A_FEW = ("accumulated and validated inside", "a share of the batches", "head, mean, cached", "steps inside an epoch")


def test_fit_ends_the_same(tmp_path: Path) -> None:
    trials = FitTrials(tmp_path, seed=3)
    kill(trials, A_FEW, kills=5)
    assert not trials.failures


def test_predict_ends_the_same(tmp_path: Path, lora_run: Path) -> None:
    trials = PredictTrials(tmp_path, lora_run, seed=3)
    kill(trials, SUFFIXES, kills=5)
    assert not trials.failures


@pytest.mark.slow
def test_fit_ends_the_same_fifty_times(tmp_path: Path) -> None:
    trials = FitTrials(tmp_path)
    kill(trials, list(FIT), kills=50)
    assert not trials.failures


@pytest.mark.slow
def test_predict_ends_the_same_fifty_times(tmp_path: Path, lora_run: Path) -> None:
    trials = PredictTrials(tmp_path, lora_run)
    kill(trials, SUFFIXES, kills=50)
    assert not trials.failures
