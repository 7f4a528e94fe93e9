"""Differences between operating systems, processors and devices."""

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

# Names that Windows reserves for devices, and characters that it does not allow in names.
RESERVED_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
RESERVED_CHARACTERS = set('<>:"|?*')
CGROUPS = Path("/sys/fs/cgroup")
# The option of prctl(2) that sends a signal when the parent process ends.
PR_SET_PDEATHSIG = 1
# Environment variables with which users set the number of threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


# Operating systems


def is_windows() -> bool:
    """Whether this is Windows, where an open file can be neither replaced nor removed."""
    return os.name == "nt"


def is_linux() -> bool:
    """Whether this is Linux, with or without glibc."""
    return sys.platform == "linux"


def check_folder_name(key: str, name: str) -> None:
    """Checks that a folder can have this name on every system, so that it can be copied anywhere.

    Args:
        key: The setting that contains the name.
        name: A name, or several separated by slashes.

    Raises:
        UserError: The name is invalid on some system.
    """
    for part in name.split("/"):
        odd = sorted(set(part) & RESERVED_CHARACTERS) or [repr(char) for char in part if ord(char) < 32]
        if odd:
            raise UserError(f"{key} {name!r} contains {odd[0]}, which Windows does not allow in names; leave it out")
        if part.split(".")[0].rstrip().lower() in RESERVED_NAMES or (part.strip(".") and part[-1] in ". "):
            raise UserError(f"{key} {name!r} cannot be the name of a folder on Windows; choose another one")


def last_name(path: str) -> str:
    """The last part of a path, because its folders may reveal who made it.

    Args:
        path: A path of any operating system, or a Hub id, which is returned unchanged.
    """
    pure = PureWindowsPath(path)  # splits at both kinds of slashes
    return pure.name if "\\" in path or pure.root or pure.drive or path.startswith(".") else path


# Processors


def cpu_quota(root: Path = CGROUPS) -> float | None:
    """The CPU quota of a container, in processors; None if there is none. `os.cpu_count` does not show it.

    Args:
        root: The folder of the Linux control groups, version 2 or 1.
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


def limit_threads_to_cpu_quota() -> None:
    """Limits PyTorch to as many threads as the CPU quota of a container; more threads would block each other.

    A number of threads that the user has set is kept.
    """
    quota = cpu_quota()
    if quota is not None and not any(os.environ.get(variable) for variable in THREAD_VARIABLES):
        torch.set_num_threads(max(1, min(torch.get_num_threads(), math.ceil(quota))))


def has_amx() -> bool:
    """Whether the CPU multiplies matrices in bfloat16 with Intel's AMX; false if this PyTorch cannot tell."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))


def own_seconds() -> float:
    """The CPU time of the calling thread; on Windows, where its resolution is 16 ms, the elapsed time."""
    return time.perf_counter() if is_windows() else time.thread_time()


def end_with_parent() -> None:
    """Makes this process end when its parent process is killed (on Linux only)."""
    if sys.platform == "linux":
        import ctypes

        parent = os.getppid()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent was killed in between
            os._exit(0)


# Devices


def device_type(accelerator: Any = "auto") -> str:
    """The device type of a Lightning accelerator on this machine: ``cpu``, ``cuda`` or ``mps``.

    This does not initialize the device, because a notebook may have to fork later.

    Args:
        accelerator: As in Lightning's Trainer: ``cpu``, ``gpu``, ``cuda``, ``mps``, ``auto``, ...
    """
    accelerator = getattr(accelerator, "name", accelerator)
    accelerator = accelerator() if callable(accelerator) else accelerator
    if accelerator in {"auto", "gpu", "mps"} and torch.backends.mps.is_available():
        return "mps"
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        return "cuda"
    return "cpu"


def one_device_only() -> bool:
    """Whether the default should be a single device, in notebooks and on Windows.

    In a notebook several devices need forked processes, which fail once CUDA is initialized. Windows has no NCCL.
    """
    return is_windows() or hasattr(sys, "ps1") or bool(sys.flags.interactive)


def synchronize(device: torch.device) -> None:
    """Waits until a device has finished its computations.

    Args:
        device: The device.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def return_device_memory(device: torch.device) -> None:
    """Frees the memory that Metal caches for each batch shape; other devices cache less.

    Args:
        device: The device.
    """
    if device.type == "mps":
        torch.mps.empty_cache()


def has_cost_per_shape(device: torch.device) -> bool:
    """Whether a device does extra work for every new shape of a batch, such as a captured graph on a GPU.

    Args:
        device: The device.
    """
    return device.type != "cpu"


def padding_multiple(device: str) -> int:
    """The multiple to which texts are padded: Metal compiles and keeps a graph for every shape.

    Args:
        device: The device type.
    """
    return 16 if device == "mps" else 1


def misreads_masks(device: torch.device) -> bool:
    """Whether fused attention with a single query uses the wrong rows of a mask.

    On Metal it did before PyTorch 2.13 (pytorch/pytorch#169222, #184180).

    Args:
        device: The device.
    """
    return device.type == "mps"


def cuda_problem() -> str | None:
    """Why PyTorch cannot use the NVIDIA GPU of this machine; None if it can, or there is none."""
    if shutil.which("nvidia-smi") is None or torch.version.hip is not None or torch.cuda.is_available():
        return None
    if torch.version.cuda is None:  # like PyPI's build for Windows
        return "this PyTorch is built without CUDA; pytorch.org says which one has it"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        if "driver" in reason:
            return f"{reason}; update it, or install a PyTorch that was built for it (pytorch.org)"
    return None  # such as a GPU that CUDA_VISIBLE_DEVICES hides
