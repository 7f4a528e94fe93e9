"""Two processes under torchrun and under a pretended srun: they meet, are stopped, start again and end alike."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT, SMALL
from tests.slurm import Job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs the signals of POSIX"),
]
ARGUMENTS = [
    *(*SMALL, "--data.train_size=300", "--data.tokens_per_batch=256", "--trainer.max_epochs=2", "--model.tuning=lora"),
    *(
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--last.every_minutes=0.001",
        "--report.baselines=false",
    ),
]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def words_of(logs: Path, *more: str) -> list[str]:
    return ["-m", "emotion_lit", "fit", *ARGUMENTS, "--name=own", f"--trainer.default_root_dir={logs}", *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])


def wait_for(file: Path, process: "subprocess.Popen[str]") -> None:
    while not file.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def assert_alike(run: Path, undisturbed: Path) -> None:
    one, other = weights(run), weights(undisturbed)
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert [folder.name for folder in run.parent.iterdir()] == ["version_0"]
    assert not (run / "requeue.json").exists()
    reports = [json.loads((folder / "report.json").read_text()) for folder in (run, undisturbed)]
    assert reports[0]["after"]["macro_f1"] == reports[1]["after"]["macro_f1"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nobody stopped."""
    logs = tmp_path_factory.mktemp("undisturbed")
    several = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words_of(logs, *several)], env=environment, check=True, capture_output=True)
    return logs / "own" / "version_0"


def batch_script(words: Sequence[str]) -> str:
    """The batch script of the README for two tasks, with the arguments of these tests."""
    page = (ROOT / "configs" / "README.md").read_text()
    script = re.findall(r"^```sh\n(#!/bin/bash\n.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[0]
    assert len(script.splitlines()) == 12
    script = re.sub(r"--nodes=\d+", "--nodes=1", re.sub(r"--ntasks-per-node=\d+", "--ntasks-per-node=2", script))
    script, found = re.subn(r"python -m emotion_lit fit .*", " ".join([sys.executable, *words]), script)
    assert found == 1
    return script


def test_a_job_that_is_preempted_ends_like_one_that_is_not(tmp_path: Path, undisturbed: Path) -> None:
    job = Job(tmp_path, batch_script(words_of(tmp_path / "logs")))
    assert job.options["signal"].startswith("USR1@")
    run = tmp_path / "logs" / "own" / "version_0"
    process = job.start()
    wait_for(run / "checkpoints" / "last.ckpt", process)
    job.warn()
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert job.asked == ["requeue 7"]
    assert said.count("SIGUSR1") == 2, said  # while it stops, and how to resume; from the first process
    assert "2 processes on 1 machine, 1 thread each" in said
    process = job.start()
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert said.count(f"resuming from {run}") == 1
    assert_alike(run, undisturbed)


def test_torchrun_in_a_job_that_is_terminated(tmp_path: Path, undisturbed: Path) -> None:
    logs = tmp_path / "logs"
    command = [*TORCHRUN, "--standalone", "--nproc-per-node=2", *words_of(logs)]
    script = " ".join(["exec", *command])  # as in `srun torchrun`, one for each machine
    job = Job(tmp_path, script)
    run = logs / "own" / "version_0"
    process = job.start()
    wait_for(run / "checkpoints" / "last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=600)[1]
    assert "terminated; resume with" in said, said
    process = job.start()
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert said.count(f"resuming from {run}") == 1
    assert "note: " not in said, said
    assert_alike(run, undisturbed)


def test_two_machines_of_torchrun(tmp_path: Path, undisturbed: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    machine = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint={address}", "--rdzv-id=own"]
    kept = {name: value for name, value in os.environ.items() if name not in ("EMOTION_LIT_PARENT", "OMP_NUM_THREADS")}
    command = [*TORCHRUN, *machine, *words_of(tmp_path)]
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    shared = re.search(r"2 processes on 1 machine, (\d+) thread", "".join(said))  # both are this machine
    assert shared is not None
    assert int(shared[1]) <= max(1, (os.cpu_count() or 1) // 2)
    run = tmp_path / "own" / "version_0"
    one, other = weights(run), weights(undisturbed)
    assert max(float((one[name] - other[name]).abs().max()) for name in other) < 1e-5
    assert (run / "report.json").is_file()


def test_tasks_of_an_array_that_start_together(tmp_path: Path) -> None:
    """Each has a run folder of its own, and asks for itself to be queued again."""
    jobs = []
    for task in ("1", "2"):
        array = {"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": task}
        command = [sys.executable, *words_of(tmp_path / "logs")]
        jobs.append(Job(tmp_path / task, " ".join(["exec", *command]), 70 + int(task), array))
    started = [job.start() for job in jobs]
    runs = [tmp_path / "logs" / "own" / f"version_{number}" for number in (0, 1)]
    for run in runs:
        wait_for(run / "checkpoints" / "last.ckpt", started[0])
    for process in started:
        process.send_signal(signal.SIGUSR1)
    said = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [job.asked for job in jobs] == [["requeue 70_1"], ["requeue 70_2"]]
    records: list[Any] = [json.loads((run / "requeue.json").read_text()) for run in runs]
    assert {record["job"] for record in records} == {"70_1", "70_2"}
    own = runs[[record["job"] for record in records].index("70_2")]
    process = jobs[1].start()
    said_again = process.communicate(timeout=600)[1]
    assert f"resuming from {own}" in said_again
    assert (own / "report.json").is_file()
    assert sorted(folder.name for folder in own.parent.iterdir()) == ["version_0", "version_1"]
