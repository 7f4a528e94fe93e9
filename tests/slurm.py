"""A pretended SLURM on this machine: `srun` starts the tasks of a job, and `scontrol requeue` queues the job again."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT

SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
each, nodes = int(os.environ["SLURM_NTASKS_PER_NODE"]), int(os.environ["SLURM_NNODES"])
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
tasks = []
for rank in range(each * nodes):
    own = {{"SLURM_PROCID": rank, "SLURM_LOCALID": rank % each, "SLURM_NODEID": rank // each, "SLURM_STEP_ID": 0,
           "SLURM_NTASKS": each * nodes, "SLURM_STEP_NUM_TASKS": each * nodes}}
    environment = {{**os.environ, **{{name: str(value) for name, value in own.items()}}}}
    tasks.append(subprocess.Popen(words, env=environment, preexec_fn=lambda: signal.signal(10, signal.SIG_DFL)))
with open(os.environ["FAKE_SLURM"] + "/tasks", "w") as file:
    file.write(" ".join(str(task.pid) for task in tasks))
sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = '#!/bin/sh\necho "$@" >> "$FAKE_SLURM/asked"\n'


class Job:
    """A job of the pretended SLURM.

    Args:
        folder: A folder for the programs and what they write.
        script: The batch script, with its `#SBATCH` lines.
        job: The id of the job.
        variables: More variables, such as those of a job array.
    """

    def __init__(self, folder: Path, script: str, job: int = 7, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.restarts = 0
        self.script = folder / "job.sh"
        self.script.parent.mkdir(parents=True, exist_ok=True)
        self.script.write_text(script)
        for name, program in (("srun", SRUN), ("scontrol", SCONTROL)):
            file = folder / "bin" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(program)
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", script, flags=re.MULTILINE))
        self.options = options
        nodes, each = options.get("nodes", "1"), options.get("ntasks-per-node", "1")
        kept = {name: value for name, value in os.environ.items() if name != "EMOTION_LIT_PARENT"}
        self.environment = {
            **kept,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FAKE_SLURM": str(folder),
            "MASTER_ADDR": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "SLURM_JOB_ID": str(job),
            "SLURM_JOB_NAME": options.get("job-name", "job"),
            "SLURM_NODELIST": "localhost",
            "SLURM_NNODES": nodes,
            "SLURM_NTASKS_PER_NODE": each,
            "SLURM_NTASKS": str(int(nodes) * int(each)),
            **(variables or {}),
        }

    def start(self) -> "subprocess.Popen[str]":
        """Starts the batch script, for the first time or again."""
        environment = dict(self.environment)
        if self.restarts:
            environment["SLURM_RESTART_COUNT"] = str(self.restarts)
        self.restarts += 1
        return subprocess.Popen(
            ["bash", str(self.script)], cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True
        )

    def warn(self) -> None:
        """Sends SIGUSR1 to all tasks, as `#SBATCH --signal` does."""
        for task in (self.folder / "tasks").read_text().split():
            os.kill(int(task), signal.SIGUSR1)

    @property
    def asked(self) -> list[str]:
        """What `scontrol` was asked for."""
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.is_file() else []
