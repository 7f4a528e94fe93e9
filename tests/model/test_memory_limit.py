from typing import Any

import pytest
import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.memory_limit import MemoryLimit, tokens_that_fit
from emotion_lit.utils import device_memory

BATCH = {"input_ids": torch.arange(80).reshape(10, 8), "row": list(range(10)), "tokens": 80}


class Small:
    """A network that has memory for a number of tokens."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.sizes: list[int] = []

    def __call__(self, batch: dict[str, Any]) -> Tensor:
        ids: Tensor = batch["input_ids"]
        assert len(batch["row"]) == len(ids)
        if ids.numel() > self.tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(ids))
        return ids.sum(dim=1, keepdim=True).float()


def test_a_batch_that_does_not_fit_is_done_again_in_halves(capsys: pytest.CaptureFixture[str]) -> None:
    limit, small = MemoryLimit(), Small(33)
    whole = Small(1000)(BATCH)
    assert torch.equal(limit.run(small, BATCH), whole)
    (line,) = capsys.readouterr().err.splitlines()
    assert "a batch of 80 tokens does not fit in memory; going on with 20" in line
    assert "--data.tokens_per_batch 5 " in line
    small.sizes = []
    assert torch.equal(limit.run(small, BATCH), whole)
    assert max(small.sizes) * 8 <= 33  # without another attempt
    assert capsys.readouterr().err == ""


def test_a_single_text_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match="single text of 8 tokens; take a smaller --data.max_length"):
        MemoryLimit().run(Small(7), BATCH)


def test_other_errors_and_other_batches_are_left_alone() -> None:
    def broken(batch: Any) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        MemoryLimit().run(broken, BATCH)
    features = {"features": torch.ones(3, 2)}
    assert MemoryLimit().run(lambda batch: batch["features"], features) is features["features"]


def test_what_fits_follows_from_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens_that_fit(Small(99), BATCH, torch.device("cpu")) is None
    gpu, calls = torch.device("cuda", 0), Small(99)
    peaks = iter([500, 100 + 80 * 7, 200])  # before the probe, after it, and at the end
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (13_500, 80_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 600)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: next(peaks))
    monkeypatch.setattr(device_memory, "_peaks", {})
    assert tokens_that_fit(calls, BATCH, gpu) == (13_500 + 500) // 2 // 7
    assert len(calls.sizes) == 2
    assert device_memory.peak(gpu) == 500  # measuring hides no earlier peak
