"""Everything that differs by operating system, processor and device."""

import contextlib
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path, PureWindowsPath
from typing import Any

import torch

from emotion_lit.errors import UserError

# Names that Windows keeps for devices, and characters that it allows in no name.
RESERVED_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
RESERVED_CHARACTERS = set('<>:"|?*')
CGROUPS = Path("/sys/fs/cgroup")
# Linux's number for the signal that comes when the parent has died (prctl(2)).
PR_SET_PDEATHSIG = 1
# What a user sets who decides about threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


# Operating systems


def is_windows() -> bool:
    """Whether this is Windows, where an open file can be neither replaced nor removed."""
    return os.name == "nt"


def is_linux() -> bool:
    """Whether this is Linux, with or without glibc."""
    return sys.platform == "linux"


def check_folder_name(key: str, name: str) -> None:
    """Checks that a name makes a folder on every system, so that what is in it can be carried anywhere.

    Args:
        key: The setting that gives the name.
        name: The name; with slashes, several of them.

    Raises:
        UserError: It does not.
    """
    for part in name.split("/"):
        odd = sorted(set(part) & RESERVED_CHARACTERS) or [repr(char) for char in part if ord(char) < 32]
        if odd:
            raise UserError(f"{key} {name!r} holds {odd[0]}, which Windows allows in no name; leave it out")
        if part.split(".")[0].rstrip().lower() in RESERVED_NAMES or (part.strip(".") and part[-1] in ". "):
            raise UserError(f"{key} {name!r} cannot be the name of a folder on Windows; give another one")


def last_name(path: str) -> str:
    """The name of a file or folder without the folders that it is in, where these say who made it.

    Args:
        path: A path of any system, or a Hub id, which stays.
    """
    pure = PureWindowsPath(path)  # takes slashes of both kinds
    return pure.name if "\\" in path or pure.root or pure.drive or path.startswith(".") else path


# Processors


def cpu_quota(root: Path = CGROUPS) -> float | None:
    """How many processors a container may keep busy, which its number of processors does not show; None for all.

    Args:
        root: Where the control groups of Linux are, of version 2 or 1.
    """
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (root / "cpu" / f"cpu.cfs_{part}_us").read_text(encoding="ascii").strip()
                for part in ("quota", "period")
            )
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def keep_to_cpu_quota() -> None:
    """Takes no more threads than a container's quota has processors; more of them wait for each other at every step.

    Where the user has set a number of threads, it stays.
    """
    quota = cpu_quota()
    if quota is not None and not any(os.environ.get(variable) for variable in THREAD_VARIABLES):
        torch.set_num_threads(max(1, min(torch.get_num_threads(), math.ceil(quota))))


def own_seconds() -> float:
    """A clock of the calling thread's own work; on Windows, where that one ticks every 16 ms, of all time."""
    return time.perf_counter() if is_windows() else time.thread_time()


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is killed, where the system can (Linux)."""
    if sys.platform == "linux":
        import ctypes

        parent = os.getppid()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed in between
            os._exit(0)


# Devices


def device_type(accelerator: Any = "auto") -> str:
    """The kind of device that an accelerator of Lightning's means on this machine: ``cpu``, ``cuda`` or ``mps``.

    Nothing is asked of the device itself, because a notebook may still have to fork.

    Args:
        accelerator: As Lightning's Trainer takes it: ``cpu``, ``gpu``, ``cuda``, ``mps``, ``auto``, ...
    """
    accelerator = getattr(accelerator, "name", accelerator)
    accelerator = accelerator() if callable(accelerator) else accelerator
    if accelerator in {"auto", "gpu", "mps"} and torch.backends.mps.is_available():
        return "mps"
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        return "cuda"
    return "cpu"


def one_device_only() -> bool:
    """Whether several devices work only for those who have prepared for it.

    In a notebook they take forked processes, which fail once anything has used CUDA; on Windows there is no NCCL.
    """
    return is_windows() or hasattr(sys, "ps1") or bool(sys.flags.interactive)


def synchronize(device: torch.device) -> None:
    """Waits for what a device still has to compute.

    Args:
        device: The device.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def return_device_memory(device: torch.device) -> None:
    """Gives back memory that Metal keeps for each shape of a batch; other devices have few shapes of memory to keep.

    Args:
        device: The device.
    """
    if device.type == "mps":
        torch.mps.empty_cache()


def common_length(device: str) -> int:
    """A multiple to pad texts to: Metal makes, and keeps, a graph for every new shape.

    Args:
        device: The kind of device.
    """
    return 16 if device == "mps" else 1


def misreads_masks(device: torch.device) -> bool:
    """Whether fused attention with a single query takes wrong rows of a mask.

    Metal's did before PyTorch 2.13 (pytorch/pytorch#169222, #184180).

    Args:
        device: The device.
    """
    return device.type == "mps"


def lacks_cuda_build() -> bool:
    """Whether there is an NVIDIA GPU, but a PyTorch that cannot use it, as PyPI's for Windows."""
    return shutil.which("nvidia-smi") is not None and torch.version.cuda is None and torch.version.hip is None
