"""Who started this process, and how many of it: torchrun, SLURM's srun, LSF's jsrun, Lightning, or a person."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

# Set by the process in which a person's command runs; the processes that Lightning starts from there inherit it.
PARENT = "EMOTION_LIT_PARENT"
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
RECORD = "requeue.json"


def _torchrun(env: dict[str, str]) -> int:
    complete = {"TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", *ADDRESS} <= set(env)
    return _number(env, "WORLD_SIZE") if complete else 1


def _srun(env: dict[str, str]) -> int:
    if not {"SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID"} <= set(env):
        return 1  # the batch script itself, or a shell of salloc
    return _number(env, "SLURM_STEP_NUM_TASKS") if "SLURM_STEP_NUM_TASKS" in env else _number(env, "SLURM_NTASKS")


def _jsrun(env: dict[str, str]) -> int:
    complete = {"LSB_JOBID", "LSB_DJOB_RANKFILE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_RANK"} <= set(env)
    return _number(env, "JSM_NAMESPACE_SIZE") if complete else 1


def _number(env: dict[str, str], name: str) -> int:
    value = env.get(name, "")
    return int(value) if value.isdigit() else 1


@dataclass(frozen=True)
class Launcher:
    """A program that starts several processes of one command.

    Args:
        name: Its name.
        count: How many processes it has started, out of the environment; 1 where it has not started this one.
        variables: What Lightning takes as a sign of it.
        tasks: Of these, the one that says how many there are.
    """

    name: str
    count: Callable[[dict[str, str]], int]
    variables: tuple[str, ...]
    tasks: str


# In the order in which Lightning asks for them.
LAUNCHERS = (
    Launcher(
        "torchrun",
        _torchrun,
        ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "NODE_RANK"),
        "WORLD_SIZE",
    ),
    Launcher("srun", _srun, ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "SLURM_NTASKS"),
    Launcher(
        "jsrun",
        _jsrun,
        ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"),
        "JSM_NAMESPACE_SIZE",
    ),
)


def settle(nodes: int = 1) -> Launcher | None:
    """Finds out what started this process, and forgets the variables of everything else, which Lightning would believe.

    Args:
        nodes: On how many machines the command runs; on several, without a launcher, a person sets them.

    Returns:
        What started several processes, this one among them.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    if is_child():
        return None
    os.environ[PARENT] = str(os.getpid())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else its processes print stacks where one has ended
    found = next((launcher for launcher in LAUNCHERS if launcher.count(dict(os.environ)) > 1), None)
    if found is None and nodes > 1:
        if not all(os.environ.get(name) for name in ADDRESS):
            raise UserError(
                f"trainer.num_nodes is {nodes}, and nothing says where the other machines are; start one process on "
                f"each with torchrun or srun, or with {', '.join(ADDRESS)} and NODE_RANK in the environment"
            )
        return None
    for launcher in LAUNCHERS:
        if launcher is not found:
            _forget(launcher)
    if found is None:
        for name in ADDRESS:
            os.environ.pop(name, None)
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
    return found


def is_child() -> bool:
    """Whether Lightning started this process for a command that runs in another one."""
    parent = os.environ.get(PARENT, "")
    return "LOCAL_RANK" in os.environ and any(str(process.pid) == parent for process in psutil.Process().parents())


def is_orphan() -> bool:
    """Whether Lightning started this process for a command that has been killed since."""
    parent = os.environ.get(PARENT, "")
    return "LOCAL_RANK" in os.environ and parent.isdigit() and not psutil.pid_exists(int(parent))


def _forget(launcher: Launcher) -> None:
    present = {name: os.environ.pop(name) for name in launcher.variables if name in os.environ}
    several = [f"{name}={value}" for name, value in present.items() if _tells_of_others(name, value, launcher)]
    if several:
        say(
            f"note: {' '.join(several)} in the environment, but {launcher.name} has not started this command: it runs "
            f"as one process. To run as several, start it with {launcher.name}"
        )


def _tells_of_others(name: str, value: str, launcher: Launcher) -> bool:
    return value != ("1" if name == launcher.tasks else "0") and (name == launcher.tasks or "RANK" in name)


def check_processes(launcher: Launcher | None, devices: int) -> None:
    """Checks that a launcher has started as many processes as the Trainer counts on.

    Args:
        launcher: The launcher.
        devices: The devices of all machines, one for each process.

    Raises:
        UserError: It has not; each would train by itself, or wait for others for ever.
    """
    count = launcher.count(dict(os.environ)) if launcher else 1
    if launcher and count != devices:
        raise UserError(
            f"{launcher.name} started {count} processes, but trainer.devices times trainer.num_nodes is {devices}; "
            f"give both, so that they make {count}, or start one process, without {launcher.name} and its variables "
            f"({' '.join(name for name in launcher.variables if name in os.environ)})"
        )


def check_stray(folder: Path) -> None:
    """Checks that Lightning finds no requeue checkpoint that is none of ours and goes on from it.

    Args:
        folder: Where it looks.

    Raises:
        UserError: There is one.
    """
    stray = next(iter(sorted(folder.glob("hpc_ckpt_*"))), None)
    if stray is not None and "SLURM_NTASKS" in os.environ:
        raise UserError(f"{stray} is none of our checkpoints, but Lightning would go on from it; move it away")


# Requeued jobs


def job() -> str | None:
    """The id of SLURM's job that this command runs in, if any."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def keep_record(run: Path, arguments: Sequence[str], requeued: bool = False) -> None:
    """Notes in a run's folder which job trains it, so that the requeued job finds it; outside of a job nothing.

    Args:
        run: The run folder.
        arguments: The command's.
        requeued: Whether the job has been put back into the queue.
    """
    if job() is None:
        return
    record = {"job": job(), "restarts": _restarts(), "requeued": requeued, "arguments": list(arguments)}
    run.mkdir(parents=True, exist_ok=True)
    (run / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def remove_record(run: Path) -> None:
    """Forgets the job of a finished run.

    Args:
        run: The run folder.
    """
    (run / RECORD).unlink(missing_ok=True)


def interrupted_run(runs: Path, arguments: Sequence[str]) -> Path | None:
    """The run that the same command of the same job was training when the job was put back into the queue.

    Args:
        runs: The folder of the runs of that name.
        arguments: The command's.

    Returns:
        Its last checkpoint; None where this is no such job, or nothing was kept.
    """
    if job() is None:
        return None
    for file in sorted(runs.glob(f"*/{RECORD}"), key=os.path.getmtime, reverse=True):
        record = _read(file)
        again = record.get("requeued") or _restarts() > int(record.get("restarts", 0))
        last = file.parent / "checkpoints" / "last.ckpt"
        if again and record.get("job") == job() and record.get("arguments") == list(arguments) and last.is_file():
            return last
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def requeue() -> bool:
    """Puts the job back into SLURM's queue, and says so.

    Returns:
        Whether that worked.
    """
    program, name = shutil.which("scontrol"), job() or ""
    done = program is not None and subprocess.run([program, "requeue", name], check=False).returncode == 0  # noqa: S603, as typed
    say(f"job {name} is queued again" if done else f"job {name} could not be queued again with `scontrol requeue`")
    return done
