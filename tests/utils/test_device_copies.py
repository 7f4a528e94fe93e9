"""Copies to and from a GPU, walked with a fake one."""

import pytest
import torch

from emotion_lit.utils.device_copies import HostCopy, pinned


def test_tensors_are_pinned_and_other_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        moved.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    ids, window = torch.arange(3), object()
    batch = pinned({"input_ids": ids, "window": window, "tokens": 3})
    assert moved == [ids]
    assert batch == {"input_ids": ids, "window": window, "tokens": 3}


def test_on_the_cpu_nothing_is_copied() -> None:
    values = torch.rand(3, 2)
    assert HostCopy(values).wait().data_ptr() == values.data_ptr()


class FakeValues:
    """Values on a GPU, which are copied when the event is waited for."""

    device = torch.device("cuda", 0)
    shape, dtype = torch.Size([2, 2]), torch.float32
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


class FakeMemory:
    """Page-locked memory."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def copy_(self, values: FakeValues, non_blocking: bool) -> None:
        self.calls.append(f"copy, non_blocking={non_blocking}")
        self.values = values.values

    def cpu(self) -> torch.Tensor:
        self.calls.append("read")
        return self.values


def test_a_copy_from_a_gpu_is_waited_for_only_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class FakeEvent:
        def record(self, stream: str) -> None:
            calls.append(f"record in {stream}")

        def synchronize(self) -> None:
            calls.append("wait")

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch, "empty", lambda *_, pin_memory, **__: FakeMemory(calls) if pin_memory else None)
    copy = HostCopy(FakeValues())  # type: ignore[arg-type]
    assert calls == ["copy, non_blocking=True", "record in stream of cuda:0"]
    assert torch.equal(copy.wait(), FakeValues.values)
    assert calls[2:] == ["wait", "read"]
