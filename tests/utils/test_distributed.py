"""Several processes of one command, as on a machine with two GPUs, here with two CPU processes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from emotion_lit.cli import main
from tests.conftest import ROOT, SMALL, failing
from tests.fork_server import forked

TWO = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]


def run_two(*words: str, code: int = 0) -> str:
    """Runs a command as two processes, the second a fresh one; gives what it has said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*forked(), "-m", "emotion_lit", *words, *TWO]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout + done.stderr


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    loaded = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return dict(loaded)


def test_a_step_of_two_processes_is_one_of_two_accumulated_batches(tmp_path: Path, tiny_backbone: Path) -> None:
    words = ["fit", *SMALL, f"--model.backbone={tiny_backbone}", f"--trainer.default_root_dir={tmp_path}"]
    words += ["--model.tuning=lora", "--model.dropout=0", "--trainer.precision=32-true", "--trainer.max_steps=30"]
    # Nine batches of other numbers of rows, so that the last step of an epoch has a single one to share out.
    words += ["--data.tokens_per_batch=512", "--trainer.max_epochs=20", "--early_stopping.patience=20"]
    main([*words, "--name=one", "--trainer.accumulate_grad_batches=2"])
    said = run_two(*words, "--name=two")
    one, two = (last_weights(tmp_path / name / "version_0") for name in ("one", "two"))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert said.count("epoch 1/20: 140 texts") == 1
    assert "deprecated" not in said
    reports = [json.loads((tmp_path / name / "version_0" / "report.json").read_text()) for name in ("one", "two")]
    assert reports[1]["training"]["epochs"] == 6
    assert reports[0]["after"]["accuracy"] == reports[1]["after"]["accuracy"]


def test_frozen_features_are_shared(tmp_path: Path) -> None:
    words = ["fit", *SMALL, "--trainer.max_epochs=1", "--model.tuning=head", "--name=own"]
    run_two(*words, f"--trainer.default_root_dir={tmp_path}", f"--data.cache_dir={tmp_path / 'cache'}")
    report = json.loads((tmp_path / "own" / "version_0" / "report.json").read_text())
    assert report["training"]["epochs"] == 1
    assert report["training"]["samples_per_second"] > 0
    assert report["after"]["loss"] != report["before"]["loss"]
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 3


@pytest.mark.parametrize("command", ["test", pytest.param("validate", marks=pytest.mark.slow)])
def test_every_row_is_scored_once(tiny_run: Path, tmp_path: Path, command: str) -> None:
    words = [command, f"--ckpt_path={tiny_run}", "--trainer.precision=32-true", "--trainer.accelerator=cpu"]
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    main([*words, f"--evaluation.path={one}"])
    run_two(*words, f"--evaluation.path={two}")
    assert _near(json.loads(one.read_text()), json.loads(two.read_text()))
    _compare_rows(one, two)


def test_a_large_split_is_scored_alike(tiny_run: Path, super_emotion: str, tmp_path: Path) -> None:
    words = ["test", f"--ckpt_path={tiny_run}", f"--data.dataset={super_emotion}", "--data.test_size=1501"]
    words += ["--trainer.precision=32-true", "--trainer.accelerator=cpu"]
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    main([*words, f"--evaluation.path={one}"])
    run_two(*words, f"--evaluation.path={two}")
    assert _near(json.loads(one.read_text()), json.loads(two.read_text()))
    _compare_rows(one, two)


def _compare_rows(one: Path, two: Path) -> None:
    first, second = (pd.read_parquet(file.with_suffix(".parquet")) for file in (one, two))
    numbers = first.select_dtypes("number").columns
    np.testing.assert_allclose(first[numbers], second[numbers], atol=1e-6)
    assert first.drop(columns=numbers).astype(str).equals(second.drop(columns=numbers).astype(str))


def _near(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_near(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(_near(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float):
        return bool(abs(one - other) < 1e-6)
    return bool(one == other)


def test_fewer_rows_than_processes(tiny_run: Path, tmp_path: Path) -> None:
    said = run_two("fit", *SMALL, "--data.train_size=1", f"--trainer.default_root_dir={tmp_path}", code=2)
    assert said.count("error") == 1
    assert "1 rows of train cannot be shared among 2 processes" in said
    said = run_two("validate", f"--ckpt_path={tiny_run}", "--data.val_size=1", f"--evaluation.path={tmp_path}/one.json")
    assert json.loads((tmp_path / "one.json").read_text())["after"]["per_class"]


def test_another_number_of_processes_is_refused(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failing(capsys, "fit", f"--ckpt_path={tiny_run}", *TWO)
    assert "trained by 1 process, " in message
    assert "resume with --trainer.devices 1" in message


def test_a_mistake_is_one_line_from_all_of_them(tmp_path: Path) -> None:
    words = ["fit", "--data.dataset=sample", "--model.backbone=./nowhere", f"--trainer.default_root_dir={tmp_path}"]
    said = run_two(*words, code=2)
    assert said.count("there is no backbone folder ./nowhere") == 1
    assert len(said.splitlines()) == 1, said
