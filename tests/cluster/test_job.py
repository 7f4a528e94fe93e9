"""The model of an actor; a CPU that is taken for a GPU gets the batches of one."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emotion_lit.cluster.job import Job, LoadedJob
from emotion_lit.cluster.window_probabilities import Texts, probabilities_of
from emotion_lit.data.batching import Batch
from emotion_lit.data.settings import DataSettings
from emotion_lit.model.checkpoint import MODEL_KEY, find_checkpoint, read_checkpoint
from emotion_lit.model.settings import ModelSettings
from emotion_lit.utils import device_memory, platforms

BYTES_PER_TOKEN = 100


def test_an_actor_on_a_gpu_fills_it_with_few_shapes(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = find_checkpoint(str(tiny_run))
    model = ModelSettings(**read_checkpoint(file)[MODEL_KEY])
    job = Job(str(file), False, DataSettings(tokens_per_batch="auto"), model, "parts", "ray")
    window = Texts([f"{'so ' * (number % 7)}happy" for number in range(6000)])

    def labeled() -> tuple[Tensor, Counter[tuple[int, ...]]]:
        loaded, shapes = LoadedJob.load(job, "cpu"), Counter[tuple[int, ...]]()

        def compute(batch: Batch) -> Tensor:
            shapes[tuple(batch["input_ids"].shape)] += 1
            return loaded.compute(batch)

        found, _ = probabilities_of(window, "text", loaded.batches, compute, len(model.labels))
        return torch.from_numpy(found), shapes

    expected, on_cpu = labeled()
    monkeypatch.setattr(device_memory, "free", lambda _: 2 * 12000 * BYTES_PER_TOKEN)
    monkeypatch.setattr(device_memory, "used_by", lambda run, _: len(run()) * 128 * BYTES_PER_TOKEN)
    monkeypatch.setattr(platforms, "has_cost_per_shape", lambda _: True)
    found, on_gpu = labeled()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert 4096 < max(rows * length for rows, length in on_gpu) <= 12000
    assert len({length for _, length in on_gpu}) == len(on_gpu) <= 24
    assert on_gpu.total() < on_cpu.total()
