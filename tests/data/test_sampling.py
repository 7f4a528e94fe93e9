from collections import Counter

import numpy as np
import pytest

from emotion_lit.data import sampling
from emotion_lit.data.labels.label_set import Labels
from emotion_lit.data.rows import Rows
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.sizes import Size
from emotion_lit.data.sources import read_dataset
from emotion_lit.errors import UserError


def rows_of(counts: list[int]) -> Rows:
    labels: list[Labels] = [(label,) for label, count in enumerate(counts) for _ in range(count)]
    return Rows([f"text {place}" for place in range(len(labels))], labels, ["corpus"] * len(labels))


@pytest.mark.parametrize(
    ("size", "count"),
    [(None, 1000), (20, 20), ("20", 20), (0.02, 20), ("2%", 20), (1.0, 1000), (1, 1), (5000, 1000), ("12.5%", 125)],
)
def test_sizes(size: Size, count: int) -> None:
    assert sampling.row_count(size, 1000, "data.train_size") == count


@pytest.mark.parametrize("size", [0, "0%", -3, 1.5, "150%", "many", 0.0001])
def test_bad_sizes_name_the_key(size: Size) -> None:
    with pytest.raises(UserError, match=r"data\.train_size"):
        sampling.row_count(size, 1000, "data.train_size")


def test_a_sample_has_the_class_shares_of_the_whole() -> None:
    counts = [5000, 3000, 1500, 500]
    rows = rows_of(counts)
    sample = sampling.stratified_sample(rows, 100, (42, 0))
    assert Counter(rows.labels[place][0] for place in sample) == {0: 50, 1: 30, 2: 15, 3: 5}


def test_a_one_percent_sample_of_the_real_data_has_its_shares(super_emotion: str) -> None:
    _, splits = read_dataset(DataSettings(super_emotion))
    whole = splits["train"]
    sample = whole.take(sampling.stratified_sample(whole, len(whole) // 100, (42, 0)))
    shares, sampled = (Counter(ids[0] for ids in rows.labels) for rows in (whole, sample))
    for label, count in shares.items():
        assert abs(sampled[label] - count / 100) <= 1


def test_the_same_seed_gives_the_same_rows_and_another_others() -> None:
    rows = rows_of([500, 300])
    first, again, other = (sampling.stratified_sample(rows, 50, (seed, 0)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_smaller_sample_lies_within_a_larger_one() -> None:
    rows = rows_of([500, 500])
    small, large = (set(sampling.stratified_sample(rows, size, (1, 0))) for size in (100, 200))
    assert small < large


def plain_sample(rows: Rows, size: int, seed: tuple[int, ...]) -> list[int]:
    """Largest remainder alone, by which the recorded scores were sampled."""
    first = np.array([ids[0] for ids in rows.labels])
    classes, counts = np.unique(first, return_counts=True)
    exact = counts * size / len(rows)
    quotas = np.floor(exact).astype(int)
    quotas[np.argsort(quotas - exact, kind="stable")[: size - quotas.sum()]] += 1
    orders = {
        name: np.random.default_rng([*seed, int(name) + 1]).permutation(np.sum(first == name)) for name in classes
    }
    chosen = [np.flatnonzero(first == name)[orders[name][:quota]] for name, quota in zip(classes, quotas, strict=True)]
    return sorted(np.concatenate(chosen).tolist())


@pytest.mark.parametrize("size", [14, 28, 140, 1000])
def test_samples_of_the_bundled_data_are_those_of_the_recorded_scores(size: int) -> None:
    _, splits = read_dataset(DataSettings("sample"))
    for number, rows in enumerate(splits.values()):
        for seed in ((42, number), (7, number)):
            smaller = min(size, len(rows) - 1)
            assert sampling.stratified_sample(rows, smaller, seed) == plain_sample(rows, smaller, seed)


@pytest.mark.parametrize("counts", [[118, 2], [3000, 1, 1], [90, 5, 5], [1000, *[2] * 20]])
def test_a_sample_holds_each_class_that_it_has_room_for(counts: list[int]) -> None:
    rows = rows_of(counts)
    for size in (len(counts), 2 * len(counts), 60):
        sample = sampling.stratified_sample(rows, size, (1, 0))
        assert len(set(sample)) == size
        assert {rows.labels[place][0] for place in sample} == set(range(len(counts)))


def test_more_classes_than_rows_fill_a_sample() -> None:
    rows = rows_of([3] * 100)
    sample = sampling.stratified_sample(rows, 30, (1, 0))
    assert len({rows.labels[place] for place in sample}) == 30
