"""SLURM, torchrun and their left-over variables."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from emotion_lit.cli import main
from tests.conftest import ROOT, SMALL

QUICK = [*SMALL, "--trainer.max_epochs=1", "--model.tuning=head", "--name=own"]
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train.sh", "SLURM_NODELIST": "node1", "SLURM_NNODES": "1"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({**SLURM, "SLURM_NTASKS": "1"}, ""),
        ({**SLURM, "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}, "SLURM_NTASKS=4"),
        ({**SLURM, "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"}, "SLURM_NTASKS=2"),
        ({"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1"}, "WORLD_SIZE=4"),
        ({"LOCAL_RANK": "3"}, "LOCAL_RANK=3"),
        ({"RANK": "2", "MASTER_ADDR": "elsewhere", "MASTER_PORT": "1"}, "RANK=2"),
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "GROUP_RANK": "0"}, "WORLD_SIZE=2"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None,
)
def test_one_process_whatever_the_variables_say(
    tmp_path: Path,
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    monkeypatch.delenv("EMOTION_LIT_PARENT", raising=False)
    main(["fit", *QUICK, f"--trainer.default_root_dir={tmp_path}"])
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == bool(said)
    assert all(said in note for note in notes)
    report = json.loads((tmp_path / "own" / "version_0" / "report.json").read_text())
    assert report["after"]["rows"] == 42


def test_a_stray_requeue_checkpoint_is_never_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["fit", *QUICK, f"--trainer.default_root_dir={tmp_path / 'first'}"])
    stray = tmp_path / "first" / "own" / "version_0" / "checkpoints" / "last.ckpt"
    here = tmp_path / "here"
    here.mkdir()
    (here / "hpc_ckpt_3.ckpt").write_bytes(stray.read_bytes())
    monkeypatch.chdir(here)
    for name, value in {**SLURM, "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    main(["fit", *QUICK])
    checkpoint = torch.load(here / "logs" / "own" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    whole = torch.load(stray, weights_only=True)
    assert checkpoint["global_step"] == whole["global_step"]
    assert (here / "hpc_ckpt_3.ckpt").is_file()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs the signals of POSIX")
def test_a_requeued_job_goes_on_with_its_run(tmp_path: Path) -> None:
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    arguments = [
        *SMALL,
        "--data.train_size=300",
        "--data.tokens_per_batch=256",
        "--trainer.max_epochs=1",
        "--name=own",
        f"--trainer.default_root_dir={tmp_path / 'logs'}",
    ]
    command = [
        sys.executable,
        "-m",
        "emotion_lit",
        "fit",
        *arguments,
        "--model.tuning=lora",
        "--last.every_minutes=0.001",
    ]
    environment = {**os.environ, **SLURM, "SLURM_NTASKS": "1", "PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "logs" / "own" / "version_0"
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert "SIGUSR1" in said
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, "SLURM_RESTART_COUNT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"going on from {run}" in done.stderr
    assert (run / "report.json").is_file()
    assert not (run / "requeue.json").exists()
    assert [folder.name for folder in run.parent.iterdir()] == ["version_0"]
