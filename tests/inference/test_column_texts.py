"""Columns as text are what Python's csv and json modules write, value by value."""

import csv
import datetime
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_lit.data.plain_values import json_column
from emotion_lit.inference.column_texts import csv_texts, json_texts

TEXTS = [
    "",
    "a,b",
    'say "hi"',
    "line\nbreak",
    "cr\rx",
    "tab\tx",
    "\u00e9\U0001f600\u2028",
    "\x00\x7f",
    "\\",
    " x ",
    None,
]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    1e-7,
    9.99e-5,
    1e-4,
    0.1,
    2.5,
    123456789.25,
    9999999999.5,
    10000000000.5,
    1e15,
    1.5e15,
    1e16,
    1e22,
    5e-324,
    None,
]
COLUMNS: dict[str, pa.Array] = {
    "text": pa.array(TEXTS),
    "large": pa.array(TEXTS, pa.large_string()),
    "float": pa.array(FLOATS),
    "single": pa.array([0.1, 1e-5, 16777216.0, None], pa.float32()),
    "integer": pa.array([0, -7, None, 2**62]),
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "flag": pa.array([True, False, None]),
    "nothing": pa.nulls(2),
}


def csv_row(*cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n")


@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_those_of_the_csv_and_json_modules(name: str) -> None:
    column = pa.chunked_array([COLUMNS[name].slice(0, 1), COLUMNS[name].slice(1)])
    table, values = pa.table({name: column}), column.to_pylist()
    assert json_texts(table, name).to_pylist() == [json.dumps(value, ensure_ascii=False) for value in values]
    assert csv_texts(table, name, escape=False).to_pylist() == [csv_row("x", value)[2:] for value in values]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=8), st.lists(st.floats(allow_nan=False), max_size=30)
)
def test_any_text_and_any_number(texts: list[str | None], numbers: list[float]) -> None:
    given_texts = pa.table({"x": pa.array(texts, pa.string())})
    assert csv_texts(given_texts, "x", escape=False).to_pylist() == [csv_row("x", text)[2:] for text in texts]
    assert [json.loads(text) for text in json_texts(given_texts, "x").to_pylist()] == texts
    given_numbers = pa.table({"x": pa.array(numbers, pa.float64())})
    assert csv_texts(given_numbers, "x", escape=False).to_pylist() == [repr(number) for number in numbers]


def test_what_is_not_finite_is_null_in_json_and_nan_is_empty_in_csv() -> None:
    table = pa.table({"x": [float("nan"), float("inf"), -float("inf"), None, 0.5]})
    assert json_texts(table, "x").to_pylist() == ["null", "null", "null", "null", "0.5"]
    for escape in (False, True):  # a number is no formula
        assert csv_texts(table, "x", escape).to_pylist() == ["", "inf", "-inf", "", "0.5"]


def test_other_types_are_plain_values() -> None:
    day, span = datetime.date(2024, 5, 1), datetime.timedelta(seconds=90)
    table = pa.table({"day": [day], "span": [span], "list": [["=1", None]], "half": pa.array([np.float16(0.5)])})
    written = {name: json_texts(table, name)[0].as_py() for name in table.column_names}
    assert written == {"day": '"2024-05-01"', "span": "90.0", "list": '["=1", null]', "half": "0.5"}
    assert csv_texts(table, "list", escape=True).to_pylist() == ['"[""=1"", null]"']


def test_values_of_several_types_keep_theirs() -> None:
    values = [1, 1.5, "1", True, None, {"a": [2**70]}, "half \ud83d", datetime.date(2024, 5, 1)]
    field, column = json_column("x", values)
    table = pa.Table.from_arrays([column], schema=pa.schema([field]))
    expected = ["1", "1.5", '"1"', "true", "null", f'{{"a": [{2**70}]}}', '"half ?"', '"2024-05-01"']
    assert json_texts(table, "x").to_pylist() == expected
    assert csv_texts(table, "x", escape=False).to_pylist()[:5] == ["1", "1.5", "1", "True", ""]
