"""The callback of a trial: how often it is scored, and which trials are timed before they begin."""

from pathlib import Path

import pytest

from emotion_lit.cli import main
from tests.conftest import SMALL
from tests.sweep.test_sweep import trials_in


@pytest.mark.parametrize(("epochs", "parts"), [(1, [4]), (12, [2, 4, 6]), (24, [1, 2, 3, 5, 6, 7])])
def test_scoring_stays_a_small_part_of_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, parts: list[int]
) -> None:
    monkeypatch.setattr("emotion_lit.sweep.trial.FEWEST_ROWS", 33)  # of the 42 rows for validation
    words = ["--model.tuning=full", f"--trainer.max_epochs={epochs}", "--early_stopping.patience=99", "--trials=1"]
    main(["sweep", *SMALL, *words, "--name=small", f"--trainer.default_root_dir={tmp_path}"])
    (trial,) = trials_in(tmp_path / "small_sweep")
    assert sorted(trial.intermediate_values) == parts


def test_only_the_first_trial_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model.tuning=lora", "--trainer.max_epochs=1", "--trials=2"]
    main(["sweep", *SMALL, *words, "--name=small", f"--trainer.default_root_dir={tmp_path}"])
    logs = [tmp_path / "small_sweep" / f"trial_{number}" / "version_0" / "run.log" for number in range(2)]
    assert ["\nabout " in log.read_text() for log in logs] == [True, False]
    assert capsys.readouterr().err.count("for the test scores") == 0
