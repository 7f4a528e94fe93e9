import numpy as np
import pytest
import torch

from emotion_lit.data.padding import LEFT, RIGHT
from emotion_lit.data.shapes import batch_lengths
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.utils import device_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("side", [RIGHT, LEFT])
def test_a_gathered_batch_is_the_padded_one(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = EmotionDataModule(dataset="sample", backbone="embedded", train_size=20, val_size=60, test_size=20)
    data.tokenizer.padding_side = side
    data.setup("fit")
    dataset = data.prepared("validation")
    dataset.use_lengths(batch_lengths(dataset.rounded_lengths, 1024, most=3))
    choices = [np.random.default_rng(seed).permutation(60)[: 8 * seed + 1].tolist() for seed in range(4)]
    padded = [dataset[rows] for rows in choices]
    assert not dataset.place(CPU)  # which gathers nothing
    assert dataset[[0]]["row"].tolist() == [0]
    monkeypatch.setattr(device_memory, "free", lambda _: 10**9)
    assert not dataset.place(CPU)
    monkeypatch.delattr("emotion_lit.data.tokenized_dataset.pad")
    for expected, rows in zip(padded, choices, strict=True):
        found = dataset[rows]
        assert set(found) == set(expected)
        assert found["tokens"] == expected["tokens"]
        for key in set(expected) - {"tokens"}:
            assert found[key].dtype == expected[key].dtype
            assert torch.equal(found[key], expected[key])


@pytest.fixture
def dataset() -> TokenizedDataset:
    data = EmotionDataModule(dataset="sample", backbone="embedded", train_size=40, val_size=20, test_size=20)
    data.setup("fit")
    return data.prepared("train")


def test_a_batch_is_gathered_without_waiting_for_the_device(
    dataset: TokenizedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_memory, "free", lambda _: 10**9)
    dataset.place(CPU)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        dataset[[3, 1, 2]]
    names = {event.key for event in profiled.key_averages()}
    assert "aten::index" in names
    assert not names & {"aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero"}


def test_only_rows_that_take_little_memory_are_moved(
    dataset: TokenizedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 4 * len(dataset.tokens.ids) + 16 * 41 + dataset.targets.nbytes
    for free, workers, is_copied in ((10 * size, 0, False), (10 * size, 1, True), (10 * size - 10, 0, True)):
        monkeypatch.setattr(device_memory, "free", lambda _, free=free: free)
        assert dataset.place(CPU, workers) == is_copied
