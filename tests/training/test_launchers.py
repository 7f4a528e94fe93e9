"""SLURM, torchrun and their left-over variables."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.training import launchers, requeue
from tests.conftest import ROOT, SMALL, failing
from tests.fork_server import forked

BATCH = {"SLURM_JOB_ID": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "job"}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "GROUP_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}
# What is in the environment, and what has to be said about it; nothing where it tells of one process only.
ALONE = [
    ({**BATCH, "SLURM_NTASKS": "1"}, ""),
    ({**BATCH, "SLURM_NTASKS": "2"}, "SLURM_NTASKS=2"),
    ({**BATCH, "SLURM_NTASKS": "7", "SLURM_JOB_NAME": "bash"}, "SLURM_NTASKS=7"),
    ({**BATCH, "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}, "SLURM_NTASKS=4"),
    ({**BATCH, "SLURM_NTASKS": "4(x2)"}, "SLURM_NTASKS=4(x2)"),
    ({"SLURM_NTASKS": "4", "SLURM_JOB_ID": "x"}, "SLURM_NTASKS=4"),
    ({**BATCH, "SLURM_NTASKS": "4", "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}, "SLURM_NTASKS=4"),
    (TORCHRUN, ""),
    ({"RANK": "1", "WORLD_SIZE": "4"}, "RANK=1 WORLD_SIZE=4"),
    ({"LOCAL_RANK": "3"}, "LOCAL_RANK=3"),
    ({"LOCAL_RANK": "0"}, ""),
    ({"MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}, ""),
    ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}, "RANK=1 WORLD_SIZE=2"),
    ({"JSM_NAMESPACE_RANK": "2", "JSM_NAMESPACE_SIZE": "4"}, "JSM_NAMESPACE_RANK=2 JSM_NAMESPACE_SIZE=4"),
    ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1", "PMI_SIZE": "2"}, ""),
    ({"TF_CONFIG": "{}", "GROUP_RANK": "0", "NODE_RANK": "0"}, ""),
]
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
        *forked(),
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
    assert f"resuming from {run}" in done.stderr
    assert (run / "report.json").is_file()
    assert not (run / "requeue.json").exists()
    assert [folder.name for folder in run.parent.iterdir()] == ["version_0"]


# What settles it


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables, and takes away afterward what the program itself has changed."""
    before = dict(os.environ)
    yield monkeypatch
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.mark.parametrize(("variables", "said"), ALONE)
def test_without_a_launcher_a_command_is_one_process(
    variables: dict[str, str], said: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert launchers.detect_launcher() is None
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == (1 if said else 0)
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    assert not SLURMEnvironment.detect()
    assert not TorchElasticEnvironment.detect()
    assert "LOCAL_RANK" not in os.environ


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {**BATCH, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
            "srun started 2 processes, but trainer.devices times trainer.num_nodes is 1",
        ),
        ({**BATCH, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}, "Use `--ntasks-per-node=2` instead"),
        ({**TORCHRUN, "RANK": "1", "WORLD_SIZE": "4"}, "torchrun started 4 processes, but trainer.devices"),
    ],
)
def test_processes_that_nobody_counts_on_are_refused(
    variables: dict[str, str],
    message: str,
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    line = failing(capsys, "fit", *SMALL, "--trainer.devices=1", f"--trainer.default_root_dir={tmp_path}")
    assert message in line


def test_several_tasks_of_srun_stay_lightning_s(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**BATCH, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "RANK": "5"}.items():
        environment.setenv(name, value)
    launcher = launchers.detect_launcher()
    assert launcher is not None
    assert launcher.name == "srun"
    assert os.environ["SLURM_NTASKS"] == "2"
    assert "RANK" not in os.environ
    launchers.check_launched_processes(launcher, 2)
    (tmp_path / "hpc_ckpt_1.ckpt").touch()
    with pytest.raises(UserError, match="hpc_ckpt_1.ckpt was not written by this package"):
        launchers.check_stray(tmp_path)


def test_what_lightning_starts_itself_keeps_its_variables(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(launchers.PARENT, str(os.getppid()))
    environment.setenv("LOCAL_RANK", "1")
    environment.setenv("WORLD_SIZE", "2")
    assert launchers.detect_launcher() is None
    assert os.environ["LOCAL_RANK"] == "1"


def test_a_job_that_the_system_started_again_finds_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a node has failed, nothing has been noted but that the job was training the run."""
    monkeypatch.setenv("SLURM_JOB_ID", "4")
    run = tmp_path / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    requeue.write_record(run, ["fit"])
    assert requeue.interrupted_run([tmp_path], ["fit"]) is None  # the same command twice in one script
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert requeue.interrupted_run([tmp_path], ["fit"]) == run / "checkpoints" / "last.ckpt"
    assert requeue.interrupted_run([tmp_path], ["fit", "--name=b"]) is None
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    assert requeue.interrupted_run([tmp_path], ["fit"]) is None


def test_a_process_whose_command_was_killed_does_not_run_it_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv("EMOTION_LIT_PARENT", str(gone.pid))
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as end:
        main(["predict", "--ckpt_path=missing"])
    assert end.value.code == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "layout"),
    [
        ({**TORCHRUN, "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (4, 2)),
        ({**TORCHRUN, "WORLD_SIZE": "2"}, (2, 1)),
        ({**BATCH, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "2"}, (2, 3)),
    ],
)
def test_devices_and_machines_follow_the_launcher(
    variables: dict[str, str], layout: tuple[int, int], environment: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    launcher = launchers.detect_launcher()
    assert launcher is not None
    assert launcher.layout() == layout


def test_torchrun_in_a_job_of_several_machines(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each task of `srun torchrun` is one torchrun, whose processes are what counts."""
    step = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_NODEID": "1"}
    for name, value in {**step, **TORCHRUN, "RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        environment.setenv(name, value)
    assert launchers.launched_rank() == 3
    launcher = launchers.detect_launcher()
    assert launcher is not None
    assert (launcher.name, launcher.layout()) == ("torchrun", (2, 2))
    assert launchers.launched_rank() == 3
    assert not capsys.readouterr().err


def test_variables_that_are_left_over_make_no_rank(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RANK", "3")
    environment.setenv("SLURM_PROCID", "2")
    assert launchers.launched_rank() == 0
