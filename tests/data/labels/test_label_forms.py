"""Labels in the forms that people and tools write them: read right, or refused in one line."""

import datetime
import decimal
from typing import Any

import numpy as np
import pytest

from emotion_lit.data.columns import ColumnSettings, find_columns, find_text_column
from emotion_lit.data.labels.encoder import LabelColumn, encode
from emotion_lit.data.labels.label_set import LabelSettings
from emotion_lit.errors import UserError

SEVERAL = LabelSettings(multi_label=True)


def read(values: list[Any], settings: LabelSettings = LabelSettings()) -> list[list[str]]:  # noqa: B008
    """The names of the classes of each row."""
    found = encode([LabelColumn(values, None, "x.csv")], settings)
    return [[found.label_set.names[index] for index in ids] for ids in found.rows[0]]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["joy", "Joy", " JOY ", "joy", "fear"], ["joy", "joy", "joy", "joy", "fear"]),
        (["very sad", "Very  sad", "very sad"], ["very sad"] * 3),
        (["e\u0301", "é", "é"], ["é"] * 3),
        (["joy", "\ufeffjoy", "joy\xa0"], ["joy"] * 3),
        ([0, 4, 0], ["0", "4", "0"]),
        ([-1, 0, 1], ["-1", "0", "1"]),
        (["-1", "0", "+1"], ["-1", "0", "1"]),
        ([10, 9], ["10", "9"]),
        (["0.0", "1.0", "2"], ["0", "1", "2"]),
        ([0.0, np.float64(1), np.int64(2), decimal.Decimal("3.0"), "4"], ["0", "1", "2", "3", "4"]),
        ([True, False], ["true", "false"]),
        (["True", "FALSE"], ["true", "false"]),
        (["²", "³", "①", "٣"], ["²", "³", "①", "٣"]),
        (["01", "1", "1.0"], ["01", "1", "1.0"]),
        ([b"joy", "fear"], ["joy", "fear"]),
        (["joy", "none", "neutral"], ["joy", "none", "neutral"]),
        (["joy", "None", "none", "none"], ["joy", "none", "none", "none"]),
        (["+", "-", "?"], ["+", "-", "?"]),
        (["love, actually", "joy"], ["love, actually", "joy"]),
        (["surprise (positive)/joy", "joy", "fear"], ["surprise (positive)/joy", "joy", "fear"]),
        (["C#", "F#", "C", "R&B", "rock&roll"], ["C#", "F#", "C", "R&B", "rock&roll"]),
        (
            ["joy/happy", "<b>sad</b>", "fear\nline2", "love; |x"],
            ["joy/happy", "<b>sad</b>", "fear\nline2", "love; |x"],
        ),
        ([{"joy": 1, "fear": 0}, {"joy": False, "fear": True}], ["joy", "fear"]),
        ([{"joy": 1.0, "fear": None}, {"joy": None, "fear": 1.0}], ["joy", "fear"]),
        ([{"label": "joy", "score": 0.9}, {"label": "fear", "score": 0.8}], ["joy", "fear"]),
        ([[{"label": 1, "user": 1}], [{"label": 2, "user": 1}]], ["1", "2"]),
    ],
)
def test_one_label_per_row(values: list[Any], names: list[str]) -> None:
    assert read(values) == [[name] for name in names]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["joy|fear", "fear"], "joy fear,fear"),
        (["joy#fear", "fear", "love#joy"], "joy fear,fear,love joy"),
        (["joy | fear", "fear", "joy||fear|"], "joy fear,fear,joy fear"),
        (["joy;fear", "fear", "joy"], "joy fear,fear,joy"),
        (["joy, fear", "fear", "love, sad", "sad"], "joy fear,fear,love sad,sad"),
        (["Joy|FEAR", "fear", "fear", "joy", "joy"], "joy fear,fear,fear,joy,joy"),
        (["0,1", "1", "2"], "0 1,1,2"),
        (["2;27", "3"], "2 27,3"),
        (["2 27", "3"], "2 27,3"),
        (['["joy", "fear"]', "[]"], "joy fear,"),
        (["['joy', 'fear']", "['fear']"], "joy fear,fear"),
        (["['joy' 'fear']", "['fear']"], "joy fear,fear"),
        (["['joy'\n 'fear']", '["it\'s"]'], "joy fear,it's"),
        (["[0 3]", "[1]", "[]"], "0 3,1,"),
        (["[0. 3.]", "[1.]"], "0 3,1"),
        (["('joy', 'fear')", "{'fear'}"], "joy fear,fear"),
        (["array(['joy', 'fear'], dtype=object)", "fear"], "joy fear,fear"),
        (["[joy, fear]", "[fear]"], "joy fear,fear"),
        (["{'joy': 1, 'fear': 1}", '{"joy": 0, "fear": 1}'], "joy fear,fear"),
        ([["joy", None, " fear "], ["nan"]], "joy fear,"),
        ([np.array([0, 3]), [1]], "0 3,1"),
        ([[1, 0, 1], [0, 1, 0]], "0 2,1"),
        ([[True, False, True], [False, False, False]], "0 2,"),
        (["[1, 0, 1]", "[0, 1, 0]"], "0 2,1"),
        (["1,0,1", "0,1,0"], "0 2,1"),
        (["1 0 1", "0 1 0"], "0 2,1"),
        ([[1.0, 0.0], [1.0, 1.0]], "0,0 1"),
        ([[0], [1], [0, 1]], "0,1,0 1"),
        ([{"choices": ["joy", "fear"]}, {"choices": ["fear"]}, "joy"], "joy fear,fear,joy"),
        (['{"choices": ["joy", "fear"]}', "fear"], "joy fear,fear"),
        ([{"cats": {"joy": 1.0, "fear": 1.0, "sad": 0.0}}, {"cats": {"joy": 0.0}}], "joy fear,"),
        ([[{"result": [{"value": {"choices": ["joy", "fear"]}, "from_name": "a"}]}], []], "joy fear,"),
        ([[{"was_cancelled": True, "result": []}, {"result": [{"value": {"choices": ["joy"]}}]}]], "joy"),
        (["nan", "NaN", "null", "N/A", "", None, float("nan"), "<NA>", "joy"], ",,,,,,,,joy"),
    ],
)
def test_several_labels_per_row(values: list[Any], names: str) -> None:
    rows = [row.split() for row in names.split(",")]
    assert read(values, SEVERAL) == rows


STATED = ["joy", "fear", "love, actually"]


@pytest.mark.parametrize(
    ("values", "settings", "rows"),
    [
        (["joy", "Joy"], LabelSettings(["Joy", "joy"]), [["joy"], ["Joy"]]),
        ([" JOY", 1], LabelSettings(STATED), [["joy"], ["fear"]]),
        (["joy,fear", "love, actually"], LabelSettings(STATED), [["joy", "fear"], ["love, actually"]]),
        (["0,1", "2"], LabelSettings(STATED), [["joy", "fear"], ["love, actually"]]),
        (["joy & fear", "joy"], LabelSettings(STATED), [["joy", "fear"], ["joy"]]),
        (["nan", "None", "null"], LabelSettings(["nan", "None", "null"]), [["nan"], ["None"], ["null"]]),
        ([4, 0, "4.0"], LabelSettings(["0", "4"]), [["4"], ["0"], ["4"]]),  # as a checkpoint has them
        ([1, 2], LabelSettings(["1", "2", "3"]), [["1"], ["2"]]),
        ([1, 2], LabelSettings(stated=["1", "2", "3"]), [["2"], ["3"]]),
        ([0, 1], LabelSettings(["no", "yes"], stated=["a", "b"]), [["no"], ["yes"]]),
        (["True", "false"], LabelSettings(["no", "yes"]), [["yes"], ["no"]]),  # as pandas writes them
        ([True, False], LabelSettings(["no", "yes"]), [["yes"], ["no"]]),
        ([1.5, 2.5], LabelSettings(["1.5", "2.5"]), [["1.5"], ["2.5"]]),
        ([-1, 0], LabelSettings(stated=["joy", "fear"], multi_label=True), [[], ["joy"]]),
        ([[1, 0, 0], [0, 1, 1]], LabelSettings(STATED), [["joy"], ["fear", "love, actually"]]),
        (["a/b", "a"], LabelSettings(separator="/"), [["a", "b"], ["a"]]),
        (["a\tb", "a"], LabelSettings(separator="tab"), [["a", "b"], ["a"]]),
        (["a,b", "a", "b"], LabelSettings(separator=""), [["a,b"], ["a"], ["b"]]),
        (["joy|fear"], LabelSettings(classes=["joy", "fear"]), [["joy", "fear"]]),
        (["Joy", "None"], LabelSettings(["Joy"], multi_label=True), [["Joy"], []]),
    ],
)
def test_settings_decide(values: list[Any], settings: LabelSettings, rows: list[list[str]]) -> None:
    assert read(values, settings) == rows


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (["joy", "x", "nan"], LabelSettings(["joy"]), "row 2: label 'x' is not known. Available: joy. (1 more row"),
        (
            ["joy", None, "nan"],
            LabelSettings(),
            "2 of 3 rows of x.csv have no label, the first is x.csv, row 2; add",
        ),
        ([0, -1], LabelSettings(stated=["a", "b"]), "1 of 2 rows of x.csv have no label"),
        ([0, -1], LabelSettings(["a", "b"]), "row 2: label id -1 is out of range; there are 2 classes"),
        ([None, ""], LabelSettings(), "x.csv: no row has a label in the label column"),
        (["Joy", "Fear", "None"], LabelSettings(), "row 3: the label 'None' may be a class, or a missing value: name"),
        (["love, actually", "love"], LabelSettings(), "or several separated by ',': set data.label_separator to ','"),
        (["a|b", "c|d"], SEVERAL, "'a|b' may be one name, or several separated by '|'"),
        (["a/b", "a", "b"], SEVERAL, "may be one name, or several separated by '/'"),
        (["a and b", "a", "b"], SEVERAL, "may be one name, or several separated by ' and '"),
        (["mild, joy", "mild, fear", "hot, joy", "hot, fear"], LabelSettings(), "may be one name, or several"),
        (["a|b", "a#b", "a"], SEVERAL, "row 2: the label 'a#b' is separated by '#', and others by '|'"),
        (["0,5", "1,0"], LabelSettings(), "row 1: the label '0,5' may be a decimal number, or several ids"),
        (["010", "110"], SEVERAL, "row 1: the label '010' may be a name, or a one-hot list"),
        ([[0.1, 0.9]], SEVERAL, "row 1: the label is a list of decimal numbers such as 0.1"),
        (["0.25", "1"], LabelSettings(), "row 1: the label 0.25 is a decimal number"),
        ([0.5, 1], LabelSettings(), "row 1: the label 0.5 is a decimal number"),
        ([[3, 0, 0], [0, 1, 2]], SEVERAL, "either votes for each class, or an id from each annotator"),
        ([[1, 0, 0], [0, 1]], SEVERAL, "look like one-hot lists, such as [1, 0, 0], but have 2 to 3"),
        ([[1, 0, 0]], LabelSettings(["a", "b"]), "one-hot lists of length 3, but there are 2 names"),
        ([1, "joy"], LabelSettings(), "not an id ('1', x.csv, row 1) and a name ('joy', x.csv, row 2)"),
        ([True, 1], LabelSettings(), "not a name ('true', x.csv, row 1) and an id ('1', x.csv, row 2)"),
        (["['a' ... 'z']"], LabelSettings(), "is neither a name nor a list as JSON, pandas or numpy write it"),
        ([[[0, 4, "joy"]]], LabelSettings(), "is a nested list, as for parts of a text"),
        ([{"start": 0, "end": 2, "labels": ["x"]}], LabelSettings(), "is about parts of a text"),
        ([{"joy": 0.9, "fear": 0.1}], LabelSettings(), "is an object of scores or votes"),
        ([{"a": "b", "c": "d"}], LabelSettings(), "is an object with a, c; write the choices as a list"),
        ([[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}]], SEVERAL, "is a list of scores"),
        (["joy", float("inf")], LabelSettings(), "row 2: the label inf is not a label"),
        (["joy", 10**400], LabelSettings(), "row 2: the label is a number too large for a class"),
        (["joy", datetime.date(2020, 1, 1)], LabelSettings(), "row 2: the label is of the type date"),
        (["joy", b"\xff"], LabelSettings(), "row 2: the label is bytes that are not UTF-8"),
        (["joy", "a\ud800"], LabelSettings(), "has a character that cannot be written"),
    ],
)
def test_what_has_no_one_reading_is_refused(values: list[Any], settings: LabelSettings, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(values, settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_that_cannot_be_used_are_skipped_with_their_reasons() -> None:
    column = LabelColumn(["joy", None, "x", {"a": "b"}, "joy"], None, "x.csv")
    found = encode([column, column], LabelSettings(["joy"]), on_error="skip")
    assert found.rows == [[(0,), (), (), (), (0,)]] * 2
    assert list(found.unusable[1]) == [1, 2, 3]
    assert found.unusable[0][1] == "no label"


@pytest.mark.parametrize(
    ("values", "settings", "words"),
    [
        (["joy|fear", "fear"], {"multi_label": True}, "2 names from column `x`, several per row, separated by |"),
        ([4, 0], {}, "2 ids (0, 4) from column `x`"),
        ([1, 0], {"names": ["a", "b"]}, "2 names from column `x`, given by ids"),
        (
            [[1, 0, 0], [0, 1, 1]],
            {},
            "3 ids (0, 1, 2) from column `x`, one-hot lists of length 3, which data.labels",
        ),
    ],
)
def test_what_was_understood_is_said(values: list[Any], settings: dict[str, Any], words: str) -> None:
    found = encode([LabelColumn(values, None, "x.csv")], LabelSettings(**settings, column="column `x`"))
    assert found.label_set.origin.startswith(words)


def test_spellings_that_are_one_class_and_missing_labels_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    read(["joy", "Joy", "joy", "fear", "nan"], SEVERAL)
    said = " ".join(capsys.readouterr().err.split())
    assert "labels: 1 of 2 names differ only in case or spaces and are merged, such as 'Joy' into 'joy'" in said
    assert "note: 1 of 5 rows of x.csv have no label, the first is x.csv, row 5" in said


@pytest.mark.parametrize(
    ("names", "text", "label"),
    [
        (["text", "labels"], "text", "labels"),
        (["id", "Tweet", "Emotion"], "Tweet", "Emotion"),
        (["UTTERANCE", "Sr No.", "CLASS"], "UTTERANCE", "CLASS"),
        (["tweet_id", "sentiment", "author", "content"], "content", "sentiment"),
        (["text", "label", "label_text"], "text", "label"),
        (["Text", "tweet", "label"], "Text", "label"),
        (["id", "text", "label", "score", "labels", "p_joy"], "text", "labels"),
        (["id", "data", "annotations"], "data", "annotations"),
        (["comment text", "target"], "comment text", "target"),
    ],
)
def test_columns_are_found_by_their_usual_names(names: list[str], text: str, label: str) -> None:
    found = find_columns(names, ColumnSettings(), "x.csv")
    assert (found.text, found.label) == (text, label)
    assert bool(found.notes) == (
        set(names) & {"labels", "label"} - {label} != set() or (text, label) != ("text", "labels")
    )


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (
            ["Utterance", "Emotion", "Sentiment"],
            ColumnSettings(),
            "the labels may be in the column 'Emotion' or 'Sen",
        ),
        (
            ["tweet", "review", "label"],
            ColumnSettings(),
            "in the column 'tweet' or 'review'; choose one with --data",
        ),
        (["column_1", "column_2"], ColumnSettings(), "--data.text_column=column_1 --data.label_column=column_2"),
        (["txt", "labels"], ColumnSettings(), "column 'text' is not known; did you mean 'txt'?"),
        (["text", "joy", "fear"], ColumnSettings(), "or columns of 0 and 1 for each class with data.label_columns"),
        (["text", "label"], ColumnSettings("texts"), "column 'texts' is not known; did you mean 'text'?"),
        (["text", "label"], ColumnSettings(label="text"), "the column 'text' cannot be both"),
        (["text", "a"], ColumnSettings(one_hot=["a", "b"]), "column 'b' is not known"),
        (["text", "a"], ColumnSettings(one_hot=["a", "a"]), "the column 'a' is used twice"),
        (["text", "b", "a"], ColumnSettings(one_hot=["a..b"]), "the column 'b' comes before 'a'"),
        (["text", "b", "a"], ColumnSettings(one_hot=["a..c"]), "column 'c' is not known"),
        (["text", "a"], ColumnSettings(label="a", one_hot=["a"]), "data.label_column and data.label_columns are both"),
    ],
)
def test_columns_that_are_not_there_or_may_be_meant_are_named(
    names: list[str], settings: ColumnSettings, message: str
) -> None:
    with pytest.raises(UserError, match="x.csv: |both|x.csv has no header") as error:
        find_columns(names, settings, "x.csv")
    assert message in str(error.value)


def test_a_set_column_is_found_in_another_case() -> None:
    assert find_text_column(["Tweet", "text"], "tweet", "x.csv") == ("Tweet", "")


def test_columns_of_ones_may_be_a_range() -> None:
    names = ["text", "anger", "joy", "trust", "id"]
    assert find_columns(names, ColumnSettings(one_hot=["anger..trust"]), "x.csv").one_hot == ("anger", "joy", "trust")
    assert find_columns(["text", "a..b"], ColumnSettings(one_hot=["a..b"]), "x.csv").one_hot == ("a..b",)


def test_a_separator_that_no_label_has_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    read(["joy", "fear"], LabelSettings(separator="#"))
    assert "data.label_separator '#' has no effect" in capsys.readouterr().err
