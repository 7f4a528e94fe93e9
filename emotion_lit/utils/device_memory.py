"""The memory of a GPU: how much is free, and how much a computation takes."""

from collections.abc import Callable
from typing import Any

import torch

# The peak of each device before the last measurement, which begins to count anew.
_peaks: dict[torch.device, int] = {}


def free(device: torch.device) -> int | None:
    """The free memory of a CUDA GPU in bytes, with what PyTorch caches; None for other devices.

    Args:
        device: The device.
    """
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + cached


def used_by(run: Callable[[], Any], device: torch.device) -> int:
    """The memory in bytes that a computation takes for a time, on a CUDA GPU.

    Args:
        run: The computation.
        device: The device.
    """
    _peaks[device] = peak(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return int(torch.cuda.max_memory_allocated(device)) - before


def peak(device: torch.device) -> int:
    """The most memory in bytes that tensors took at once on a CUDA GPU, in this process.

    Args:
        device: The device.
    """
    return max(_peaks.get(device, 0), int(torch.cuda.max_memory_allocated(device)))


def empty_cache(device: torch.device) -> None:
    """Returns the memory that PyTorch caches to a GPU, so that blocks of other sizes fit.

    Args:
        device: The device.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
