"""A recorder on a CPU, which repeats the recorded work, and refuses what a CUDA graph cannot capture."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from emotion_lit.model.cuda_graphs import Work

HOST_READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal")


class Capturing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises where a value is read, as a stream does that captures."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name().split(".")[0] in HOST_READS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func.name()}")
        return func(*args, **(kwargs or {}))


class CpuRecorder:
    """Does what `CudaRecorder` does, on a CPU.

    Args:
        most: The number of recordings that fit in memory.
    """

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.recorded = 0

    @contextlib.contextmanager
    def unchanged_random_state(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            yield

    def warm_up(self, work: Work) -> None:
        with Capturing():  # type: ignore[no-untyped-call]
            work()

    def record(self, work: Work) -> Work:
        self.recorded += 1
        if self.recorded > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        with Capturing():  # type: ignore[no-untyped-call]
            work()
        return work
