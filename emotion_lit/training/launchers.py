"""Launchers: whether torchrun, SLURM, LSF or Lightning started this process, and with how many others."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from lightning.fabric.utilities.rank_zero import rank_zero_only

from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

# Set by the main process of a command, and inherited by the processes that Lightning starts from it.
PARENT = "EMOTION_LIT_PARENT"
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


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
        count: Returns the number of processes it started, from the environment; 1 if it did not start this one.
        variables: The environment variables by which Lightning detects it.
        tasks: The one of these with the number of processes.
        rank: The one of these with the rank of this process.
        local: The variables, in the order in which they are tried, with the number of processes on this machine.
    """

    name: str
    count: Callable[[dict[str, str]], int]
    variables: tuple[str, ...]
    tasks: str
    rank: str
    local: tuple[str, ...]

    def layout(self) -> tuple[int, int]:
        """The processes on each machine, and the machines."""
        count = self.count(dict(os.environ))
        each = next((_number(dict(os.environ), name) for name in self.local if os.environ.get(name)), count)
        return each, count // each


# In the order in which Lightning checks for them.
LAUNCHERS = (
    Launcher(
        "torchrun",
        _torchrun,
        ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "NODE_RANK"),
        "WORLD_SIZE",
        "RANK",
        ("LOCAL_WORLD_SIZE",),
    ),
    Launcher(
        "srun",
        _srun,
        ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
        "SLURM_NTASKS",
        "SLURM_PROCID",
        ("SLURM_NTASKS_PER_NODE",),
    ),
    Launcher(
        "jsrun",
        _jsrun,
        ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"),
        "JSM_NAMESPACE_SIZE",
        "JSM_NAMESPACE_RANK",
        ("JSM_NAMESPACE_LOCAL_SIZE",),
    ),
)


def detect_launcher(nodes: int = 1) -> Launcher | None:
    """Detects the launcher of this process, and unsets the variables of others, which would mislead Lightning.

    Args:
        nodes: The number of machines. On several, without a launcher, the user sets the variables.

    Returns:
        The launcher that started this process and others; None if there is none.
    """
    if is_child():
        return None
    os.environ[PARENT] = str(os.getpid())
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # else the other processes print stack traces when one has ended
    found = _launcher()
    if found is None and nodes > 1:
        if not all(os.environ.get(name) for name in ADDRESS):
            raise UserError(
                f"trainer.num_nodes is {nodes}, but the address of the main machine is unknown; start one process on "
                f"each with torchrun or srun, or with {', '.join(ADDRESS)} and NODE_RANK in the environment"
            )
        return None
    for launcher in LAUNCHERS:
        if launcher is not found:
            _unset(launcher, alone=found is None)
    if found is None:
        for name in ADDRESS:
            os.environ.pop(name, None)
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
    return found


def _launcher() -> Launcher | None:
    return next((launcher for launcher in LAUNCHERS if launcher.count(dict(os.environ)) > 1), None)


def launched_rank() -> int:
    """The rank of this process, by its environment, which is known before the processes have met."""
    if is_child():
        return int(os.environ["LOCAL_RANK"])
    launcher = _launcher()
    return int(os.environ[launcher.rank]) if launcher else 0


def is_child() -> bool:
    """Whether Lightning started this process for a command whose main process is running."""
    parent = os.environ.get(PARENT, "")
    return "LOCAL_RANK" in os.environ and any(str(process.pid) == parent for process in psutil.Process().parents())


def is_orphan() -> bool:
    """Whether Lightning started this process for a command whose main process was killed."""
    parent = os.environ.get(PARENT, "")
    return "LOCAL_RANK" in os.environ and parent.isdigit() and not psutil.pid_exists(int(parent))


def _unset(launcher: Launcher, alone: bool) -> None:
    """Unsets the variables of a launcher; a note tells of them if this process is alone, and they imply others.

    Inside of a SLURM job, torchrun may have started this process, once on each machine.
    """
    present = {name: os.environ.pop(name) for name in launcher.variables if name in os.environ}
    several = [f"{name}={value}" for name, value in present.items() if _implies_others(name, value, launcher)]
    if several and alone:
        say(
            f"note: {' '.join(several)} in the environment, but {launcher.name} has not started this command: it runs "
            f"as one process. To run as several, start it with {launcher.name}"
        )


def _implies_others(name: str, value: str, launcher: Launcher) -> bool:
    return value != ("1" if name == launcher.tasks else "0") and (name == launcher.tasks or "RANK" in name)


def check_launched_processes(launcher: Launcher | None, devices: int) -> None:
    """Checks that a launcher has started the number of processes that the Trainer expects.

    Args:
        launcher: The launcher.
        devices: The devices of all machines, one for each process.

    Raises:
        UserError: The numbers differ; processes would train separately, or wait for others forever.
    """
    count = launcher.count(dict(os.environ)) if launcher else 1
    if launcher and count != devices:
        raise UserError(
            f"{launcher.name} started {count} processes, but trainer.devices times trainer.num_nodes is {devices}; "
            f"set them so that their product is {count}, or start one process, without {launcher.name} and its "
            f"variables ({' '.join(name for name in launcher.variables if name in os.environ)})"
        )


def check_stray(folder: Path) -> None:
    """Checks that there is no foreign requeue checkpoint from which Lightning would resume.

    Args:
        folder: The folder where Lightning searches.

    Raises:
        UserError: There is one.
    """
    stray = next(iter(sorted(folder.glob("hpc_ckpt_*"))), None)
    if stray is not None and "SLURM_NTASKS" in os.environ:
        raise UserError(f"{stray} was not written by this package, but Lightning would resume from it; move it away")
