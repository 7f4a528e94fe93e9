from collections import Counter

import pytest

from emotion_lit.data.labels.label_set import Labels
from emotion_lit.data.rows import Rows
from emotion_lit.data.splits import make_missing_splits
from emotion_lit.errors import UserError
from tests.data.test_sampling import rows_of


@pytest.mark.parametrize("counts", [[118, 2], [118, 3], [118, 1], [50, 50, 1, 2, 3, 4], [100, *[3] * 9], [40, 40]])
def test_made_splits_hold_each_class_that_has_the_rows(counts: list[int]) -> None:
    splits, _ = make_missing_splits({"train": rows_of(counts)}, seed=42)
    held = {split: Counter(ids[0] for ids in rows.labels) for split, rows in splits.items()}
    for label, count in enumerate(counts):
        assert held["train"][label], "train has every class"
        assert sum(label in own for own in held.values()) == min(3, count)
        assert sum(own[label] for own in held.values()) == count


def test_second_labels_are_covered_too() -> None:
    labels: list[Labels] = [(0,)] * 50 + [(1,)] * 50 + [(0, 2)] * 3 + [(1, 3)] * 3 + [()] * 4
    splits, _ = make_missing_splits({"train": Rows(list(map(str, range(110))), labels, [""] * 110)}, seed=3)
    for rows in splits.values():
        assert {label for ids in rows.labels for label in ids} == {0, 1, 2, 3}
        assert () in rows.labels


def test_missing_splits_are_made_of_train_stratified() -> None:
    splits, made = make_missing_splits({"train": rows_of([600, 400])}, seed=1)
    assert made == ["validation", "test"]
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 800, "validation": 100, "test": 100}
    assert Counter(ids[0] for ids in splits["test"].labels) == {0: 60, 1: 40}
    assert len({text for rows in splits.values() for text in rows.texts}) == 1000


def test_too_few_rows_to_split_are_an_error() -> None:
    with pytest.raises(UserError, match="2 rows are too few to be split"):
        make_missing_splits({"train": rows_of([1, 1])}, seed=1)
