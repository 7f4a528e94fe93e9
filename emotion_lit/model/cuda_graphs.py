"""The code that only runs on CUDA: captured graphs of GPU work, and the choice of attention kernels.

Written from PyTorch's notes on CUDA graphs (docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Tests replace
`recorder_for` by one that records on a CPU.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

import torch

Work = Callable[[], None]


class Recorder(Protocol):
    """Records work on a device, to repeat it with a single launch."""

    def unchanged_random_state(self) -> contextlib.AbstractContextManager[None]:
        """Restores the state of the random number generators at its end."""

    def warm_up(self, work: Work) -> None:
        """Runs work as it will be recorded; raises `RuntimeError` if it reads a value of the device."""

    def record(self, work: Work) -> Work:
        """Records work; returns a function that repeats it on the same memory."""


class CudaRecorder:
    """Captures work on a GPU as CUDA graphs.

    The graphs share a memory pool, so they have to be replayed one after the other, and what they compute is valid
    until the next replay. Random numbers differ from replay to replay: PyTorch passes the state of the default
    generator to each of them.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def unchanged_random_state(self) -> Iterator[None]:
        """Restores the state of the random number generators at its end."""
        with torch.random.fork_rng(devices=[self.device]):
            yield

    def warm_up(self, work: Work) -> None:
        """Runs work on the stream of the captures, where libraries allocate their workspaces at first use.

        Args:
            work: Launches kernels on the current stream.

        Raises:
            RuntimeError: It reads a value of the GPU. A capture would fail at it too, and leave the random number
                generator unusable.
        """
        current, mode = torch.cuda.current_stream(self.device), torch.cuda.get_sync_debug_mode()
        self._stream.wait_stream(current)
        torch.cuda.set_sync_debug_mode("error")
        try:
            with torch.cuda.stream(self._stream):
                work()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
            current.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """Captures work in a CUDA graph.

        Args:
            work: Launches kernels on the current stream; its inputs and outputs stay where they are.

        Returns:
            A function that launches all of it at once.
        """
        graph = torch.cuda.CUDAGraph()
        # Other threads go on working: one pins batches, NCCL's asks for the state of its events.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        return graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """A recorder for a device; None if it has no graphs.

    Args:
        device: The device.
    """
    return CudaRecorder(device) if device.type == "cuda" else None


@contextlib.contextmanager
def attention_kernels(device: torch.device) -> Iterator[None]:
    """Keeps scaled dot product attention from cuDNN, which makes a plan for every new shape, 0.1 s each.

    PyTorch prefers cuDNN's kernels in half precision on recent GPUs (pytorch/pytorch#155958). Without them it takes its
    flash and memory-efficient kernels. On other devices this does nothing.

    Args:
        device: The device that computes.
    """
    cudnn: bool = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    if device.type != "cuda" or not cudnn:
        yield
        return
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(True)
