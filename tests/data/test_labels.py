from typing import Any

import pytest

from emotion_lit.data.labels import LabelColumn, LabelSet, encode, typed
from emotion_lit.errors import UserError


def encoded(values: list[object], texts: list[object] | None = None, names: list[str] | None = None) -> tuple[Any, Any]:
    label_set, columns = encode([LabelColumn(values, texts, "train")], names, allow_none=False)
    return label_set.names, columns[0]


def test_strings_are_named_in_alphabetical_order() -> None:
    assert encoded(["joy", "anger", "joy"]) == (("anger", "joy"), [(1,), (0,), (1,)])


def test_lists_keep_their_first_label_first() -> None:
    assert encoded([["joy", "anger"], ["anger"]]) == (("anger", "joy"), [(1, 0), (0,)])


def test_names_come_from_the_column_beside_the_ids() -> None:
    assert encoded([[0], [1, 0]], [["Calm"], ["Joy", "Calm"]]) == (("Calm", "Joy"), [(0,), (1, 0)])


def test_ids_without_names_are_named_by_themselves() -> None:
    assert encoded([0, 2, 1]) == (("0", "1", "2"), [(0,), (2,), (1,)])


def test_lists_in_a_csv_are_json() -> None:
    assert encoded(["[0, 1]", "1"], names=["a", "b"]) == (("a", "b"), [(0, 1), (1,)])


@pytest.mark.parametrize("classes", [2, 28])
def test_any_number_of_classes(classes: int) -> None:
    names, rows = encoded(list(range(classes)))
    assert len(names) == classes == len(rows)


def test_targets_spread_evenly_or_set_each() -> None:
    labels = LabelSet(("a", "b", "c"))
    assert labels.targets([(0, 2)], multi_label=False).tolist() == [[0.5, 0, 0.5]]
    assert labels.targets([(0, 2), ()], multi_label=True).tolist() == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("values", "texts", "names", "message"),
    [
        ([0, 7], None, ["a", "b"], "row 2: label id 7 is out of range"),
        (["a", "z"], None, ["a", "b"], "row 2: label 'z' is not known"),
        (
            [[0], [1], [0]],
            [["a"], ["b"], ["b"]],
            None,
            "row 3: the labels are ['a'], but the names beside them say ['b']",
        ),
        ([["a"], []], None, None, "1 rows of train have no label, the first is row 2"),
        ([0, "a"], None, None, "labels should be all ints or all strings"),
        ([None, None], None, None, "the label column is empty"),
    ],
)
def test_bad_labels_are_named(
    values: list[object], texts: list[object] | None, names: list[str] | None, message: str
) -> None:
    with pytest.raises(UserError) as error:
        encoded(values, texts, names)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        ["1", "01", "1.0"],
        ["Joy", "joy", "JOY"],
        ["é", "e\u0301"],
        ["1", "2", "3"],
        ["true", "null", "nan"],
        ["/s", "/j"],
    ],
)
def test_texts_that_differ_are_labels_that_differ(values: list[object]) -> None:
    names, rows = encoded(values)
    assert [names[ids[0]] for ids in rows] == values
    again, rows = encoded(values, names=list(names))
    assert [again[ids[0]] for ids in rows] == values


def test_a_name_in_another_case_is_found_where_it_is_one_class() -> None:
    assert encoded([" JOY", "anger"], names=["Anger", "Joy"])[1] == [(1,), (0,)]
    with pytest.raises(UserError, match="'JOY' is not known"):
        encoded(["JOY"], names=["Joy", "joy"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0", "2", "[0, 1]"], [0, 2, [0, 1]]),
        (["0", "", None, "-1"], [0, "", None, -1]),
        (["1", "01"], ["1", "01"]),
        (["1", "joy"], ["1", "joy"]),
    ],
)
def test_a_csv_has_ids_where_all_look_like_ids(values: list[object], expected: list[object]) -> None:
    assert typed(values) == expected


def test_truth_values_are_no_labels() -> None:
    with pytest.raises(UserError, match="should be all ints or all strings, not bool"):
        encoded([True, False])
