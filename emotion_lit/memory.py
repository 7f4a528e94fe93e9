"""How the process asks the operating system for memory."""

import ctypes
import os
import sys

import psutil

# glibc's names for the parameters of mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


# Enough for the matrix products of one training step.
KERNELS = "64"


def keep_few_kernels() -> None:
    """Makes oneDNN, PyTorch's library for matrix products on a CPU, forget kernels of shapes that do not come again.

    It keeps 1,024 of them, and every batch of texts has a shape of its own: 440 MB after 8,000 texts with LoRA, at the
    same speed. A capacity that the user has set stays. It is read at the first product of a process.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS)


def keep_freed_memory() -> None:
    """Lets freed tensors be used again instead of going back to the operating system.

    A training step frees and asks for the same few hundred MB each time, and on Linux every fresh page is a fault that
    the kernel fills with zeros: 12-20% of a step of a small encoder on two cores. Elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)


def return_freed_memory() -> None:
    """Gives freed memory back to the operating system. Elsewhere than on Linux this does nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


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
