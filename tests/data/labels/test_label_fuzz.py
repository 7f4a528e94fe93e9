"""No value of a label column ends in a traceback: each gives classes, or one line."""

import datetime
import decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from emotion_lit.data.labels.encoder import LabelColumn, encode
from emotion_lit.data.labels.label_set import LabelSettings
from emotion_lit.data.labels.one_hot import one_hot_values
from emotion_lit.errors import UserError

NAMES = ["joy", "Joy ", "fear", "love, actually", "a|b", "none", "None", "nan", "²", "0", "1.0", "-1", "[c]", "{", "💥"]
SIMPLE = some.one_of(
    *(some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=5), some.sampled_from(NAMES)),
    *(
        some.binary(max_size=4),
        some.dates(),
        some.datetimes(),
        some.timedeltas(),
        some.decimals(),
        some.complex_numbers(),
    ),
    some.characters(categories=["Cs", "Nd", "No", "Zs", "Cc"]),
    some.sampled_from([np.float32("nan"), np.int64(3), np.str_("joy"), np.datetime64("NaT"), 10**400, object()]),
    some.lists(some.integers(0, 3), max_size=4).map(np.array),
)
KEYS = some.sampled_from(
    ["choices", "label", "labels", "cats", "result", "value", "type", "start", "end", "score", "joy"]
)
VALUE = some.recursive(
    SIMPLE,
    lambda inside: some.one_of(
        some.lists(inside, max_size=4),
        some.lists(inside, max_size=3).map(tuple),
        some.dictionaries(KEYS, inside, max_size=3),
        some.lists(inside, max_size=3).map(str),
        some.dictionaries(KEYS, inside, max_size=3).map(str),
    ),
    max_leaves=6,
)
TYPICAL = some.one_of(
    some.lists(some.sampled_from(NAMES), max_size=3).map("|".join),
    some.lists(some.integers(-1, 5), max_size=4).map(lambda ids: ",".join(map(str, ids))),
    some.lists(some.integers(0, 1), min_size=2, max_size=3),
    some.lists(some.integers(0, 1), min_size=2, max_size=3).map(str),
    some.sampled_from(NAMES),
)
COLUMN = some.one_of(
    *(some.lists(one, min_size=1, max_size=8) for one in (VALUE, TYPICAL, some.one_of(VALUE, TYPICAL)))
)
SETTINGS = some.builds(
    LabelSettings,
    names=some.one_of(some.none(), some.just(["joy", "fear", "none"]), some.just(["0", "1"])),
    stated=some.one_of(some.none(), some.just(["joy", "fear"])),
    multi_label=some.booleans(),
    separator=some.sampled_from([None, None, "", "|", ","]),
)


def check(column: list[Any], texts: list[Any] | None, known: LabelSettings) -> None:
    for on_error in ("stop", "skip"):
        try:
            found = encode([LabelColumn(column, texts, "train")], known, on_error)
        except UserError as error:
            line = str(error)
            assert line.strip()
            assert len(line) < 2000
            continue
        (rows,), (unusable,) = found.rows, found.unusable
        assert len(rows) == len(column)
        assert all(0 <= index < len(found.label_set.names) for ids in rows for index in ids)
        assert known.multi_label or all(bool(ids) != (row in unusable) for row, ids in enumerate(rows))
        assert len(set(found.label_set.names)) == len(found.label_set.names)
        assert all(name.encode() for name in found.label_set.names)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(COLUMN, SETTINGS)
def test_any_value_is_a_label_or_a_line(column: list[Any], known: LabelSettings) -> None:
    check(column, None, known)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(COLUMN, some.one_of(some.none(), COLUMN), SETTINGS)
def test_five_thousand_columns(column: list[Any], texts: list[Any] | None, known: LabelSettings) -> None:
    check(column, None if texts is None else (texts * len(column))[: len(column)], known)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(some.lists(some.one_of(some.sampled_from([0, 1, "0", "1.0", True, "", None]), SIMPLE), min_size=1, max_size=6))
def test_any_mark_of_a_column_is_zero_or_one_or_a_line(marks: list[Any]) -> None:
    values = one_hot_values({"joy": marks, "fear": [1] * len(marks)}, None)
    assert len(values) == len(marks)
    check(values, None, LabelSettings(["joy", "fear"]))


def test_what_is_no_label_is_named() -> None:
    for value in (datetime.date(2020, 1, 1), decimal.Decimal("Infinity"), b"\xff", 10**400, {"a": "b"}, [["joy"]]):
        with pytest.raises(UserError, match="train, row 2: the label "):
            encode([LabelColumn(["joy", value], None, "train")], LabelSettings())
