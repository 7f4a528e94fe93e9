from typing import Any

import pytest

from emotion_lit.data.labels.encoder import LabelColumn, encode
from emotion_lit.data.labels.label_set import LabelSet, LabelSettings
from emotion_lit.errors import UserError


def encoded(values: list[object], texts: list[object] | None = None, names: list[str] | None = None) -> tuple[Any, Any]:
    result = encode([LabelColumn(values, texts, "train")], LabelSettings(names))
    return result.label_set.names, result.rows[0]


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
            "row 3: the labels are ['a'], but their names in the other column are ['b']",
        ),
        ([["a"], []], None, None, "1 of 2 rows of train have no label, the first is train, row 2"),
        (
            [0, "a"],
            None,
            None,
            "not an id ('0', train, row 1) and a name ('a', train, row 2)",
        ),
        ([None, None], None, None, "no row has a label"),
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
        ["true", "null", "nan", "None", ""],
        ["[c]", "a|b", "love, actually", "{}"],
        ["/s", "/j"],
    ],
)
def test_stated_names_are_found_as_they_are(values: list[object]) -> None:
    names = [str(value) for value in values if value]
    found, rows = encoded([value for value in values if value], names=names)
    assert [found[ids[0]] for ids in rows] == names == list(found)


def test_a_name_in_another_case_is_found_where_it_is_one_class() -> None:
    assert encoded([" JOY", "anger"], names=["Anger", "Joy"])[1] == [(1,), (0,)]
    with pytest.raises(UserError, match="'JOY' is not known"):
        encoded(["JOY"], names=["Joy", "joy"])
