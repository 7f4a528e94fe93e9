"""The calls of CUDA, in order, on a GPU that is not there."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from emotion_lit.model.cuda_graphs import CudaRecorder, attention_kernels, recorder_for

GPU = torch.device("cuda", 0)


class Stream:
    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def wait_stream(self, other: "Stream") -> None:
        self.calls.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the functions of `torch.cuda`; each call is noted."""
    noted: list[str] = []
    current, side, mode = Stream("current", noted), Stream("side", noted), [0]

    @contextlib.contextmanager
    def stream(of: Stream) -> Iterator[None]:
        noted.append(f"on {of.name}")
        yield

    @contextlib.contextmanager
    def graph(captured: Any, pool: Any, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        noted.append(f"capture on {stream.name}, pool {pool}, {capture_error_mode}")
        yield
        captured.replay = lambda: noted.append("replay")

    def set_mode(value: Any) -> None:
        mode[0] = value
        noted.append(f"sync debug {value}")

    for name, value in {
        "Stream": lambda _: side,
        "graph_pool_handle": lambda: 7,
        "current_stream": lambda _: current,
        "stream": stream,
        "graph": graph,
        "CUDAGraph": type("CUDAGraph", (), {}),
        "get_sync_debug_mode": lambda: mode[0],
        "set_sync_debug_mode": set_mode,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return noted


def test_warming_up_happens_beside_and_finds_what_waits(calls: list[str]) -> None:
    recorder = CudaRecorder(GPU)
    expected = [
        "side waits for current",
        "sync debug error",
        "on side",
        "work",
        "sync debug 0",
        "current waits for side",
    ]
    recorder.warm_up(lambda: calls.append("work"))
    assert calls == expected

    def fail() -> None:
        calls.append("work")
        raise RuntimeError("called a synchronizing CUDA operation")

    calls.clear()
    with pytest.raises(RuntimeError, match="synchronizing"):
        recorder.warm_up(fail)
    assert calls == expected


def test_graphs_share_a_pool_and_leave_other_threads_alone(calls: list[str]) -> None:
    recorder = CudaRecorder(GPU)
    replays = [recorder.record(lambda: calls.append("work")) for _ in range(2)]
    assert calls == ["capture on side, pool 7, thread_local", "work"] * 2
    calls.clear()
    for replay in replays:
        replay()
    assert calls == ["replay"] * 2


def test_the_random_state_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    @contextlib.contextmanager
    def fork_rng(devices: list[torch.device]) -> Iterator[None]:
        calls.append(f"keep {devices}")
        yield

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    with CudaRecorder(GPU).unchanged_random_state():
        pass
    assert calls == [f"keep {[GPU]}"]


@pytest.mark.usefixtures("calls")
def test_only_cuda_has_graphs() -> None:
    assert isinstance(recorder_for(GPU), CudaRecorder)
    assert recorder_for(torch.device("cpu")) is None
    assert recorder_for(torch.device("mps")) is None


def uses_cudnn() -> bool:
    return bool(torch.backends.cuda.cudnn_sdp_enabled())  # type: ignore[no-untyped-call]


def test_attention_does_without_cudnn_and_leaves_it_as_it_was() -> None:
    before = uses_cudnn()
    try:
        for enabled in (True, False):
            torch.backends.cuda.enable_cudnn_sdp(enabled)
            with contextlib.suppress(RuntimeError), attention_kernels(GPU):
                assert not uses_cudnn()
                raise RuntimeError("out of memory")
            assert uses_cudnn() == enabled
        torch.backends.cuda.enable_cudnn_sdp(True)
        with attention_kernels(torch.device("cpu")):
            assert uses_cudnn()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
