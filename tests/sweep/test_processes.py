"""Sweeps in processes of their own: killed, and several at once."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from emotion_lit.cli import main
from tests.conftest import SMALL
from tests.sweep.test_sweep import HEAD, WORDS, sweep, trials_in, without_failed

pytestmark = pytest.mark.slow
KILLS = 3


def start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "emotion_lit", *WORDS, f"--trainer.default_root_dir={folder}", *words]
    with (folder / "screen.txt").open("ab") as screen:
        return subprocess.Popen(command, stdout=screen, stderr=screen)


def wait_for_trials(folder: Path, count: int) -> None:
    """Until some trials have begun."""
    ends = time.monotonic() + 300
    while len(list((folder / "small_sweep").glob("trial_*"))) < count and time.monotonic() < ends:
        time.sleep(0.05)


def test_a_killed_sweep_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    sweep(undisturbed, "--trials=6")
    for number in range(KILLS):
        process = start(killed, "--trials=6")
        wait_for_trials(killed, 2 * number + 1)
        time.sleep(random.uniform(0, 1.5))
        process.kill()
        process.wait()
    folder = sweep(killed, "--trials=6")
    assert without_failed(folder) == without_failed(undisturbed / "small_sweep")
    assert [one.state for one in trials_in(folder)].count(TrialState.FAIL) <= KILLS
    best = (undisturbed / "small_sweep" / "best.yaml").read_text()
    assert (folder / "best.yaml").read_text() == best.replace(str(undisturbed), str(killed))


@pytest.mark.parametrize("storage", [False, True])
def test_two_processes_share_the_work(tmp_path: Path, storage: bool) -> None:
    words = ["--trials=6", *([f"--sweep.storage=sqlite:///{tmp_path / 'sweep.db'}"] if storage else [])]
    processes = [start(tmp_path, *words) for _ in range(2)]
    assert [process.wait(600) for process in processes] == [0, 0]
    folder = tmp_path / "small_sweep"
    if not storage:
        trials = trials_in(folder)
        assert len(trials) == 6
        assert len({one.user_attrs["owner"]["pid"] for one in trials}) == 2
        assert [bool(one.user_attrs.get("default")) for one in trials].count(True) == 1
    assert len(list(folder.glob("trial_*"))) == 6
    assert len(list(folder.glob("*/*/evaluation.json"))) <= 2
    assert (folder / "sweep.html").is_file()


def test_a_sweep_within_a_budget_ends_in_time(tmp_path: Path) -> None:
    space = {"trainer.max_epochs": {"low": 2, "high": 8}}
    began = time.monotonic()
    main(
        [
            *("sweep", *SMALL, *HEAD, "--name=small", "--budget=40s", f"--sweep.space={json.dumps(space)}"),
            *("--trainer.max_epochs=5", f"--trainer.default_root_dir={tmp_path}"),
        ]
    )
    assert time.monotonic() - began < 44
    assert len(trials_in(tmp_path / "small_sweep")) > 1
