import pytest

from emotion_lit.data import filters
from emotion_lit.data.labels.label_set import LabelSet
from emotion_lit.data.rows import Rows
from emotion_lit.errors import UserError
from tests.data.test_sampling import rows_of


def test_dropped_labels_renumber_the_rest() -> None:
    labels = LabelSet(("Neutral", "Joy", "Fear"))
    rows = Rows(["a", "b", "c"], [(0,), (0, 2), (1,)], [""] * 3)
    kept, splits = filters.exclude_labels({"train": rows}, labels, ["neutral"])
    assert kept.names == ("Joy", "Fear")
    assert (splits["train"].texts, splits["train"].labels) == (["b", "c"], [(1,), (0,)])


def test_unknown_labels_and_sources_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'Joy'"):
        filters.exclude_labels({"train": rows_of([1])}, LabelSet(("Joy", "Fear", "Love")), ["Jojy"])
    with pytest.raises(UserError, match="corpus"):
        filters.keep_sources({"train": rows_of([1])}, ["corpis"])


def test_sources_filter_rows() -> None:
    rows = Rows(["a", "b"], [(0,), (0,)], ["x", "y"])
    assert filters.keep_sources({"train": rows}, ["y"])["train"].texts == ["b"]


def test_classes_of_a_model_are_matched_by_name() -> None:
    rows = Rows(["a"], [(0, 1)], [""])
    matched = filters.match_classes({"test": rows}, LabelSet(("joy", "fear")), ["Fear", "Anger", "Joy"])
    assert matched["test"].labels == [(2, 0)]
    with pytest.raises(UserError, match="disgust"):
        filters.match_classes({"test": rows}, LabelSet(("disgust", "fear")), ["Fear"])
