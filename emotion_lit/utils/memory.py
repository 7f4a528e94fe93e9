"""Memory: how the process allocates and returns it, and how much is available."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from emotion_lit.utils import platforms

# glibc's names for the parameters of mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


# The kernels of the matrix products of one training step.
KERNELS = 64
# Those of an epoch, whose batches have a hundred shapes.
AMX_KERNELS = 2048


def limit_kernel_cache() -> None:
    """Limits the number of kernels that oneDNN, PyTorch's library for matrix products on a CPU, keeps.

    oneDNN compiles kernels for every batch shape, and keeps 1,024 of them by default: 440 MB after 8,000 texts with
    LoRA, at the same speed as with 64. With Intel's AMX, compiling takes a quarter of the time of training. There as
    many are kept as make it 1.3 times as fast, for 0.5 GB. A capacity that the user has set is kept. oneDNN reads it at
    the first matrix product of a process.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(AMX_KERNELS if platforms.has_amx() else KERNELS))


def keep_freed_memory() -> None:
    """Keeps freed memory in the process for reuse, instead of returning it to the operating system (on Linux only).

    Each training step frees and allocates the same few hundred MB. On Linux every new page causes a page fault, and the
    kernel fills it with zeros: 12-20% of a step of a small encoder on two cores.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)


def return_freed_memory() -> None:
    """Returns freed memory to the operating system (on Linux only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def available_memory() -> int:
    """The available memory in bytes: that of the machine, or less if a cgroup limits it.

    Containers and schedulers limit the cgroup: https://docs.kernel.org/admin-guide/cgroup-v2.html. The inactive page
    cache counts as available, because the kernel reclaims it first.
    """
    return min([int(psutil.virtual_memory().available), *_left_in_cgroups(Path("/"))])


def _left_in_cgroups(root: Path) -> Iterator[int]:
    """The remaining bytes below each limit of the cgroup of this process and its parents.

    Args:
        root: The folder of /proc and /sys.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, limit, usage, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        folder = mount / path.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(mount):
                yield from _left(place / limit, place / usage, place / "memory.stat", cache)


def _left(limit: Path, usage: Path, statistics: Path, cache: str) -> Iterator[int]:
    try:
        allowed, used = int(limit.read_text()), int(usage.read_text())
        counts = dict(line.split(maxsplit=1) for line in statistics.read_text().splitlines())
        yield max(0, allowed - used + int(counts.get(cache, 0)))
    except (OSError, ValueError):  # no limit ("max"), or the cgroup is not shown inside of the container
        return


def memory_mb() -> float:
    """The resident size of this process, in MiB."""
    return float(psutil.Process().memory_info().rss / 2**20)


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 2**20)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
