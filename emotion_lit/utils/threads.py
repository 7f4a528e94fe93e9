"""The threads of a process: processes on the same machine share its cores."""

import os
import platform

import psutil
import torch

from emotion_lit.utils import distributed, platforms


def own_threads() -> int | None:
    """The number of threads that this process would use alone; None if the user has set their number.

    Call it before the Trainer starts: Lightning divides them by the processes of the machine, also where a scheduler
    has bound each process to cores of its own.
    """
    if _is_default_of_torchrun():
        quota, cores = platforms.cpu_quota(), len(usable_cores())
        return min(cores, int(quota)) if quota and quota >= 1 else cores
    if any(os.environ.get(name) for name in platforms.THREAD_VARIABLES):
        return None
    return torch.get_num_threads()


def share_cores(threads: int | None) -> int:
    """Divides threads among the processes that run on the same cores; all processes have to call this.

    Args:
        threads: The result of `own_threads`.

    Returns:
        The number of machines.
    """
    mine = platform.node(), usable_cores()
    everyone = distributed.all_gather(mine)
    if threads is not None:
        torch.set_num_threads(max(1, threads // everyone.count(mine)))
    return len({machine for machine, _ in everyone})


def usable_cores() -> frozenset[int]:
    """The processors on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _is_default_of_torchrun() -> bool:
    """Whether torchrun has set OMP_NUM_THREADS to 1, which it does if nobody has set it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("OMP_NUM_THREADS") != "1":
        return False
    try:
        started_with = psutil.Process(os.getppid()).environ()
    except (psutil.Error, OSError):
        return False
    return not any(started_with.get(name) for name in platforms.THREAD_VARIABLES)
