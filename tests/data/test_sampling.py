from collections import Counter

import numpy as np
import pytest

from emotion_lit.data import sampling
from emotion_lit.data.labels.label_set import Labels, LabelSet
from emotion_lit.data.sources import Rows, read_dataset
from emotion_lit.errors import UserError


def rows_of(counts: list[int]) -> Rows:
    labels: list[Labels] = [(label,) for label, count in enumerate(counts) for _ in range(count)]
    return Rows([f"text {place}" for place in range(len(labels))], labels, ["corpus"] * len(labels))


@pytest.mark.parametrize(
    ("size", "count"),
    [(None, 1000), (20, 20), ("20", 20), (0.02, 20), ("2%", 20), (1.0, 1000), (1, 1), (5000, 1000), ("12.5%", 125)],
)
def test_sizes(size: sampling.Size, count: int) -> None:
    assert sampling.row_count(size, 1000, "data.train_size") == count


@pytest.mark.parametrize("size", [0, "0%", -3, 1.5, "150%", "many", 0.0001])
def test_bad_sizes_name_the_key(size: sampling.Size) -> None:
    with pytest.raises(UserError, match=r"data\.train_size"):
        sampling.row_count(size, 1000, "data.train_size")


def test_a_sample_has_the_class_shares_of_the_whole() -> None:
    counts = [5000, 3000, 1500, 500]
    rows = rows_of(counts)
    sample = sampling.stratified_sample(rows, 100, (42, 0))
    assert Counter(rows.labels[place][0] for place in sample) == {0: 50, 1: 30, 2: 15, 3: 5}


def test_a_one_percent_sample_of_the_real_data_has_its_shares(super_emotion: str) -> None:
    _, splits = read_dataset(super_emotion, "text", "labels", None, multi_label=False)
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


def test_texts_of_validation_and_test_leave_train_and_repeats_collapse() -> None:
    splits = {
        "train": Rows(["Seen  TODAY", "twice", "Twice ", "own"], [(0,), (1,), (0,), (1,)], [""] * 4),
        "validation": Rows(["seen today"], [(0,)], [""]),
        "test": Rows(["other"], [(0,)], [""]),
    }
    kept, removed = sampling.deduplicate(splits)
    assert kept["train"].texts == ["twice", "own"]
    assert removed == {"held_out": 1, "repeated": 1, "validation": 0}
    assert kept["validation"] is splits["validation"]


def test_texts_of_test_leave_validation_and_train() -> None:
    splits = {
        "train": Rows(["both", "own"], [(0,), (1,)], ["a", "b"]),
        "validation": Rows(["BOTH ", "valid", "valid"], [(0,), (1,), (1,)], ["a", "b", "c"]),
        "test": Rows(["both", "both"], [(0,), (0,)], [""] * 2),
    }
    kept, removed = sampling.deduplicate(splits)
    assert removed == {"held_out": 1, "repeated": 0, "validation": 1}
    assert (kept["train"].texts, kept["validation"].texts) == (["own"], ["valid", "valid"])
    assert (kept["validation"].labels, kept["validation"].sources) == ([(1,), (1,)], ["b", "c"])
    assert kept["test"] is splits["test"]
    without, removed = sampling.deduplicate({split: splits[split] for split in ("validation", "test")})
    assert (without["validation"].texts, removed["validation"]) == (["valid", "valid"], 1)


def test_dropped_labels_renumber_the_rest() -> None:
    labels = LabelSet(("Neutral", "Joy", "Fear"))
    rows = Rows(["a", "b", "c"], [(0,), (0, 2), (1,)], [""] * 3)
    kept, splits = sampling.drop_labels({"train": rows}, labels, ["neutral"])
    assert kept.names == ("Joy", "Fear")
    assert (splits["train"].texts, splits["train"].labels) == (["b", "c"], [(1,), (0,)])


def test_unknown_labels_and_sources_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'Joy'"):
        sampling.drop_labels({"train": rows_of([1])}, LabelSet(("Joy", "Fear", "Love")), ["Jojy"])
    with pytest.raises(UserError, match="corpus"):
        sampling.keep_sources({"train": rows_of([1])}, ["corpis"])


def test_sources_filter_rows() -> None:
    rows = Rows(["a", "b"], [(0,), (0,)], ["x", "y"])
    assert sampling.keep_sources({"train": rows}, ["y"])["train"].texts == ["b"]


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
    _, splits = read_dataset("sample", "text", "labels", None, multi_label=False)
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


@pytest.mark.parametrize("counts", [[118, 2], [118, 3], [118, 1], [50, 50, 1, 2, 3, 4], [100, *[3] * 9], [40, 40]])
def test_made_splits_hold_each_class_that_has_the_rows(counts: list[int]) -> None:
    splits, _ = sampling.complete_splits({"train": rows_of(counts)}, seed=42)
    held = {split: Counter(ids[0] for ids in rows.labels) for split, rows in splits.items()}
    for label, count in enumerate(counts):
        assert held["train"][label], "train has every class"
        assert sum(label in own for own in held.values()) == min(3, count)
        assert sum(own[label] for own in held.values()) == count


def test_second_labels_are_covered_too() -> None:
    labels: list[Labels] = [(0,)] * 50 + [(1,)] * 50 + [(0, 2)] * 3 + [(1, 3)] * 3 + [()] * 4
    splits, _ = sampling.complete_splits({"train": Rows(list(map(str, range(110))), labels, [""] * 110)}, seed=3)
    for rows in splits.values():
        assert {label for ids in rows.labels for label in ids} == {0, 1, 2, 3}
        assert () in rows.labels


def test_more_classes_than_rows_fill_a_sample() -> None:
    rows = rows_of([3] * 100)
    sample = sampling.stratified_sample(rows, 30, (1, 0))
    assert len({rows.labels[place] for place in sample}) == 30


def test_missing_splits_are_made_of_train_stratified() -> None:
    splits, made = sampling.complete_splits({"train": rows_of([600, 400])}, seed=1)
    assert made == ["validation", "test"]
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 800, "validation": 100, "test": 100}
    assert Counter(ids[0] for ids in splits["test"].labels) == {0: 60, 1: 40}
    assert len({text for rows in splits.values() for text in rows.texts}) == 1000


def test_too_few_rows_to_split_are_an_error() -> None:
    with pytest.raises(UserError, match="2 rows are too few to be split"):
        sampling.complete_splits({"train": rows_of([1, 1])}, seed=1)


def test_classes_of_a_model_are_matched_by_name() -> None:
    rows = Rows(["a"], [(0, 1)], [""])
    matched = sampling.match_classes({"test": rows}, LabelSet(("joy", "fear")), ["Fear", "Anger", "Joy"])
    assert matched["test"].labels == [(2, 0)]
    with pytest.raises(UserError, match="disgust"):
        sampling.match_classes({"test": rows}, LabelSet(("disgust", "fear")), ["Fear"])
