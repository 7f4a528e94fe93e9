import itertools

import numpy as np
import pytest
import torch

from emotion_lit.data.batching import BatchSampler, shapes_of
from emotion_lit.data.shapes import batch_lengths, divisions, pack_full, padding_share, round_up
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.training.datamodule import EmotionDataModule

RANDOM = np.random.default_rng(0)
LENGTHS = np.clip(RANDOM.lognormal(2.9, 0.6, 20_000).astype(np.int64), 3, 128)


@pytest.mark.parametrize("seed", range(5))
def test_lengths_are_those_with_the_least_padding(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(3, 13, size=40)
    longest = int(lengths.max())
    found = list(divisions(lengths, 3))
    for number, chosen in enumerate(found, start=1):
        others = itertools.combinations(range(3, longest), number - 1)
        best = min(int(round_up(lengths, (*one, longest)).sum()) for one in others)
        assert len(chosen) == number
        assert int(round_up(lengths, chosen).sum()) == best
    assert len(found) == 3


def test_no_more_lengths_than_needed() -> None:
    assert batch_lengths(np.array([7, 7, 7, 12]), 21, padding=0) == (7, 12)
    assert batch_lengths(np.array([19, 20] * 50), 20) == (20,)
    assert batch_lengths(np.array([], dtype=np.int64), 20) == ()
    few, many = (batch_lengths(LENGTHS, 1024, padding=share) for share in (0.2, 0))
    assert len(few) < len(many) == 23
    assert padding_share(LENGTHS, round_up(LENGTHS, few), 1024) <= 0.2
    assert padding_share(LENGTHS, round_up(LENGTHS, few[1:]), 1024) > 0.2


def test_long_texts_have_lengths_too() -> None:
    lengths = RANDOM.integers(3, 8191, size=3000)
    chosen = batch_lengths(lengths, 65536)
    assert len(chosen) <= 23
    assert chosen[-1] == lengths.max()
    assert padding_share(lengths, round_up(lengths, chosen), 65536) < 0.08


@pytest.mark.parametrize("budget", [1024, 2048, 8192])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_few_shapes_recur_in_every_epoch_with_little_padding(budget: int, world_size: int) -> None:
    padded = round_up(LENGTHS, batch_lengths(LENGTHS, budget))
    assert padding_share(LENGTHS, padded, budget) < 0.08
    for rank in range(world_size):
        sampler = BatchSampler(padded, budget, shuffle=True, rank=rank, world_size=world_size, recurs=True)
        epochs = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            batches = list(sampler)
            epochs.append({(len(batch), int(padded[batch].max())) for batch in batches})
            assert all(rows * length <= budget for rows, length in epochs[-1])
        assert set.union(*epochs) <= set(shapes_of(sampler))
        assert len(shapes_of(sampler)) <= 24
        if world_size == 1:
            assert all(set(shapes_of(sampler)) == epoch for epoch in epochs)
            assert shapes_of(sampler).total() == len(sampler)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 50, 1003])
def test_every_row_once_with_recurring_shapes(
    batch_size: int | None, shuffle: bool, world_size: int, rows: int
) -> None:
    lengths = round_up(LENGTHS[:rows], batch_lengths(LENGTHS[:rows], 512))
    for epoch in range(2):
        shares = []
        for rank in range(world_size):
            sampler = BatchSampler(lengths, 512, batch_size, shuffle, 1, rank, world_size, recurs=True)
            sampler.set_epoch(epoch)
            shares.append(list(sampler))
            assert len(shares[-1]) == len(sampler)
        seen = sorted(row for share in shares for batch in share for row in batch)
        assert seen == (list(range(rows)) if rows >= world_size else sorted([*range(rows)] * world_size))


def test_full_batches_are_in_order_of_length() -> None:
    batches = [batch.tolist() for batch in pack_full(np.array([3, 3, 3, 6, 6, 6, 99]), 12)]
    assert batches == [[0, 1], [2, 3], [4, 5], [6]]


@pytest.fixture(scope="module")
def datasets() -> dict[str, TokenizedDataset]:
    data = EmotionDataModule(dataset="sample", backbone="embedded")
    data.setup("fit")
    return {split: data.prepared(split) for split in ("train", "validation", "test")}


def test_real_texts_have_few_shapes_and_little_padding(datasets: dict[str, TokenizedDataset]) -> None:
    dataset = datasets["train"]
    dataset.use_lengths(batch_lengths(dataset.rounded_lengths, 1024))
    batches = BatchSampler(dataset.padded_lengths, 1024, shuffle=True, rank=0, world_size=1, recurs=True)
    padded = sum(dataset[rows]["input_ids"].numel() for rows in batches)
    dataset.use_lengths(())
    assert len(shapes_of(batches)) <= 24
    assert 1 - dataset.tokens.lengths.sum() / padded < 0.08


def test_padding_to_a_common_length_changes_no_token(datasets: dict[str, TokenizedDataset]) -> None:
    dataset, rows = datasets["validation"], [5, 1, 9]
    before = dataset[rows]
    width = before["input_ids"].shape[1]
    dataset.use_lengths((width - 1, width + 7))
    after = dataset[rows]
    dataset.use_lengths(())
    assert after["input_ids"].shape == (3, width + 7) == after["attention_mask"].shape
    assert torch.equal(after["input_ids"][:, :width], before["input_ids"])
    assert after["attention_mask"].sum() == before["tokens"] == after["tokens"]
