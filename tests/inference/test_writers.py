import csv
import re
from pathlib import Path

import pyarrow as pa
import pytest

from emotion_lit.errors import UserError
from emotion_lit.inference.column_texts import FORMULA, escape_formula
from emotion_lit.inference.writers import Csv
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter

RUN = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1-1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
    "'=1",
    "''=1",
    "+a",
]
PLAIN = ["what a day!", "'tis", "a=b", "", "-5", "+3.5", "-1e-7", "1", "#tag", "don't"]


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    escaped = escape_formula(text)
    assert escaped == f"'{text}"
    assert re.match(r"'", escaped)
    assert FORMULA.match(escaped)  # so that whoever takes one off knows where


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_and_numbers_stay(text: str) -> None:
    assert escape_formula(text) == text


def test_a_csv_is_escaped_in_headings_ids_texts_and_lists(tmp_path: Path) -> None:
    form = Csv(escape=True)
    rows = {"id": ["@7", "8", None], "text": ["=1", "one", "-5"], "=kept": [["=1"], [], None], "number": [-5, -1, None]}
    form.write(pa.table(rows), tmp_path / "a")
    form.join([tmp_path / "a"], pa.table(rows).slice(0, 0), tmp_path / "whole.csv")
    with (tmp_path / "whole.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written == [
        ["id", "text", "'=kept", "number"],
        ["'@7", "'=1", '["=1"]', "-5"],
        ["8", "one", "[]", "-1"],
        ["", "-5", "", ""],
    ]


def test_other_formats_have_no_formulas() -> None:
    with pytest.raises(UserError, match=r"is for \.csv alone"):
        PredictionWriter("out.jsonl", escape_formulas=True)
