import numpy as np
import pytest
import torch

from emotion_lit.data.batching import BatchSampler
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import Tokens
from emotion_lit.training.datamodule import EmotionDataModule

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1003)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world_size", [1, 3])
def test_every_row_once_and_as_many_batches_on_every_rank(
    batch_size: int | None, shuffle: bool, world_size: int
) -> None:
    for epoch in range(3):
        seen: list[int] = []
        counts = set()
        for rank in range(world_size):
            sampler = BatchSampler(LENGTHS, 512, batch_size, shuffle, seed=1, rank=rank, world_size=world_size)
            sampler.set_epoch(epoch)
            batches = list(sampler)
            assert len(batches) == len(sampler)
            counts.add(len(batches))
            seen += [row for batch in batches for row in batch]
        assert len(counts) == 1
        assert sorted(seen) == list(range(len(LENGTHS)))


@pytest.mark.parametrize("rows", [3, 4, 5, 7, 8, 9, 50, 51, 997])
@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("budget", [1, 64, 100_000])  # rows by themselves, a few, all in one batch
def test_any_number_of_rows_is_shared_out(rows: int, world_size: int, budget: int) -> None:
    lengths = LENGTHS[:rows]
    for shuffle in (True, False):
        samplers = [BatchSampler(lengths, budget, None, shuffle, 1, rank, world_size) for rank in range(world_size)]
        shares = [list(sampler) for sampler in samplers]
        assert {len(share) for share in shares} == {len(samplers[0])}
        assert all(share for share in shares)
        assert all(batch for share in shares for batch in share)
        seen = sorted(row for share in shares for batch in share for row in batch)
        assert seen == (list(range(rows)) if rows >= world_size else sorted([*range(rows)] * world_size))


def test_a_step_of_several_ranks_has_the_batches_of_as_many_steps_of_one() -> None:
    alone = list(BatchSampler(LENGTHS, 512, shuffle=True))
    shared = [list(BatchSampler(LENGTHS, 512, shuffle=True, rank=rank, world_size=2)) for rank in range(2)]
    for step in range(len(alone) // 2):
        assert [shared[0][step], shared[1][step]] == alone[2 * step : 2 * step + 2]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_the_first_batches_of_a_limited_evaluation_are_a_fair_part(share: float) -> None:
    sampler = BatchSampler(LENGTHS, 256, spread=True)
    chosen = [row for batch in list(sampler)[: int(share * len(sampler))] for row in batch]
    assert abs(len(chosen) / len(LENGTHS) - share) < 0.06
    assert abs(LENGTHS[chosen].mean() - LENGTHS.mean()) < 2.5
    assert sorted(row for batch in sampler for row in batch) == list(range(len(LENGTHS)))


def test_batches_stay_within_the_budget() -> None:
    for batch in BatchSampler(LENGTHS, 512, shuffle=True):
        assert len(batch) * LENGTHS[batch].max() <= 512


def test_epochs_differ_and_seeds_repeat() -> None:
    sampler = BatchSampler(LENGTHS, 512, shuffle=True, seed=7)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert [5] in list(BatchSampler(np.array([3, 3, 3, 3, 3, 99]), 10))


def test_padding_and_its_mask() -> None:
    tokens = Tokens(np.array([5, 6, 7, 8, 9], np.int32), np.array([0, 2, 5]))
    batch = pad(tokens, [0, 1], Padding(0))
    assert batch["input_ids"].tolist() == [[5, 6, 0], [7, 8, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["tokens"] == 5
    assert "attention_mask" not in pad(tokens, [1], Padding(0))


def test_padding_before_a_text() -> None:
    tokens, before = Tokens(np.array([5, 6, 7, 8, 9], np.int32), np.array([0, 2, 5])), Padding(0, left=True)
    batch = pad(tokens, [0, 1], before, multiple=4)
    assert batch["input_ids"].tolist() == [[0, 0, 5, 6], [0, 7, 8, 9]]
    assert batch["attention_mask"].tolist() == [[0, 0, 1, 1], [0, 1, 1, 1]]
    states = torch.tensor([[[5.0], [6.0], [0.0]], [[7.0], [8.0], [9.0]]])  # kept with padding behind
    assert before.moved(states, tokens.lengths, 4)[..., 0].tolist() == batch["input_ids"].tolist()
    assert Padding(0).moved(states, tokens.lengths, 4)[..., 0].tolist() == [[5, 6, 0, 0], [7, 8, 9, 0]]


def test_padding_on_real_texts_is_under_four_percent() -> None:
    data = EmotionDataModule(dataset="sample", backbone="embedded")
    data.setup("fit")
    real = padded = 0
    for batch in data.train_dataloader():
        real += batch["tokens"]
        padded += batch["input_ids"].numel()
    assert 1 - real / padded < 0.04
