import csv
import re
from pathlib import Path

import pytest

from emotion_lit.errors import UserError
from emotion_lit.inference.writers import FORMULA, TEXT, Csv, escape_formula
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
    assert escape_formula(-5) == -5
    assert escape_formula(None) is None


def test_a_csv_is_escaped_in_headings_ids_texts_and_lists(tmp_path: Path) -> None:
    columns = {"id": TEXT, "text": TEXT, "=kept": None}
    form = Csv(escape=True)
    form.write(
        [{"id": "@7", "text": "=1", "=kept": ["=1"]}, {"id": "8", "text": "one", "=kept": -1}], columns, tmp_path / "a"
    )
    form.join([tmp_path / "a"], columns, tmp_path / "whole.csv")
    with (tmp_path / "whole.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written == [["id", "text", "'=kept"], ["'@7", "'=1", '["=1"]'], ["8", "one", "-1"]]


def test_other_formats_have_no_formulas() -> None:
    with pytest.raises(UserError, match=r"is for \.csv alone"):
        PredictionWriter("out.jsonl", escape_formulas=True)
