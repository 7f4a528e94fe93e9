"""What a dataset gets that cannot be read: one line with what was found, where, and what to type."""

import json
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.data.settings import DataSettings
from emotion_lit.data.sources import read_dataset
from emotion_lit.errors import UserError
from tests.data.test_sources import ROWS, as_csv, as_jsonl, as_parquet, refused, write

GOOD = as_csv(ROWS)
BLANK = GOOD + b",\n" + b" ,joy\n" + b"why,\n"
SKIP = "leave them out with --data.on_error"


@pytest.mark.parametrize(
    ("files", "dataset", "settings", "lines"),
    [
        (
            {"a.csv": BLANK},
            "a.csv",
            {},
            ["a.csv: 2 of 15 rows cannot be used: no text", "the first is a.csv, line 14", SKIP],
        ),
        ({"a.csv": GOOD + b"why,\n"}, "a.csv", {}, ["1 of 13 rows of", "no label, the first is a.csv, line 14", SKIP]),
        (
            {"a.jsonl": as_jsonl([*ROWS, {"text": None, "label": "joy"}, {"text": 3, "label": "joy"}])},
            *("a.jsonl", {}, ["2 of 14 rows cannot be used: no text (null", "the first is a.jsonl, line 13", SKIP]),
        ),
        (
            {"a.parquet": as_parquet([*ROWS, {"text": None, "label": "joy"}])},
            "a.parquet",
            {},
            ["a.parquet, row 13", SKIP],
        ),
        ({"a.csv": GOOD + b"x,joy,1\n"}, "a.csv", {}, ["a.csv, line 14", SKIP]),
        (
            {"d/train.jsonl": b'{"text": "a", "label": "x"}\n{"text": \n'},
            "d",
            {},
            ["train.jsonl, line 2", "is not JSON", SKIP],
        ),
        ({"d/train.csv": GOOD, "d/test.csv": b"id,txt\n1,a\n"}, "d", {}, ["test has no labels"]),
        (
            {"d/train.csv": b"id,text\n1,a\n"},
            "d",
            {},
            ["column 'labels' is not known. Available: id.", "data.label_column"],
        ),
        ({"d/train.csv": GOOD, "d/test.csv": b"txt,label\na,joy\n"}, "d", {}, ["test.csv: column 'text' is not known"]),
        ({"d/x.csv": GOOD, "d/y.csv": b"text,emotion\na,joy\n"}, "d", {}, ["y.csv: column 'label' is not known"]),
        ({"d/train.csv": GOOD, "d/train.tsv": b"text\tlabel\n"}, "d", {}, ["train is there in several formats"]),
        ({"d/train.csv": GOOD, "d/train.csv.gz": b""}, "d", {}, ["train occurs twice: train.csv, train.csv.gz"]),
        ({"d/book.xlsx": b"PK"}, "d", {}, ["book.xlsx", "import pandas; pandas.read_excel("]),
        (
            {"d/train.csv": GOOD, "d/test.xlsx": b"PK"},
            "d",
            {},
            ["test.xlsx is named like test, but is not read; convert"],
        ),
        ({"d/notes.md": b"hello"}, "d", {}, ["the folder", "has no file of .csv"]),
        ({"d/train.csv": GOOD}, "d", {"config": "raw"}, ["has no configurations; leave data.config out"]),
        ({"a.csv": GOOD}, "a.csv", {"config": "raw"}, ["data.config is raw, but", "is one file; leave it out"]),
        ({"a.csv": GOOD}, "a.csv", {"revision": "v1"}, ["data.revision is v1, but", "is not on the Hub; leave it out"]),
        ({"a.txt": b"one\ntwo\n"}, "a.txt", {}, ["a.txt has no labels", "predict"]),
        ({"a.txt": b"1\ta b\t0\n2\tc d\t1\n"}, "a.txt", {}, ["a table of 3 columns without a header", ".tsv"]),
        ({"a.csv": b"text,label\n"}, "a.csv", {}, ["a.csv has no rows"]),
        ({"a.csv": b"text,label\n,\n"}, "a.csv", {"on_error": "skip"}, ["a.csv: 1 of 1 rows cannot be used: no text"]),
        ({}, "no/such/folder", {}, ["there is no dataset", "no/such/folder"]),
        ({}, "nothing.csv", {}, ["there is no file", "nothing.csv"]),
    ],
)
def test_each_gets_one_line(
    files: dict[str, bytes],
    dataset: str,
    settings: dict[str, Any],
    lines: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path, files)
    try:
        read_dataset(DataSettings(str(tmp_path / dataset), **settings))
        said = capsys.readouterr().err
    except UserError as error:
        said = str(error)
        assert "\n" not in said
    assert [line for line in lines if line not in said] == [], said


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = b",\n" + b" ,joy\n" + b"why,\n" + b"x,joy,1\n" + b"\xff,joy\n"
    write(tmp_path, {"a.csv": GOOD + bad})
    _, splits = read_dataset(DataSettings(str(tmp_path / "a.csv"), on_error="skip"))
    assert splits["train"].texts == [row["text"] for row in ROWS]
    skipped = splits["train"].skipped
    assert {reason[:8]: one["rows"] for reason, one in skipped.items()} == {
        "no text ": 2,
        "no label": 1,
        "has 3 fi": 1,
        "byte 0xf": 1,
    }
    assert {one["first"] for one in skipped.values()} == {f"a.csv, line {line}" for line in (14, 16, 17, 18)}
    assert "a.csv: 5 of 17 rows are left out: 2 no text (null, blank or not a string), the first is a.csv, line 14" in (
        capsys.readouterr().err
    )


def test_no_text_becomes_the_word_none(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": None, "label": "joy"}, {"text": float("nan"), "label": "joy"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, splits = read_dataset(DataSettings(str(tmp_path / "a.jsonl"), on_error="skip"))
    assert splits["train"].texts == [row["text"] for row in ROWS]


def test_a_hidden_test_split_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, hidden in {"null": None, "minus one": -1, "blank": "", "nan": "nan"}.items():
        test = [{"text": row["text"], "label": hidden} for row in ROWS]
        folder = write(tmp_path / name, {"train.jsonl": as_jsonl(ROWS), "test.jsonl": as_jsonl(test)})
        labels, splits = read_dataset(DataSettings(folder))
        assert list(splits) == ["train"]
        assert labels.names == ("anger", "joy", "sadness")
        assert f"{folder}, test: test has no labels, and is not used" in capsys.readouterr().err


def test_classes_in_two_orders_are_refused(tmp_path: Path) -> None:
    import datasets

    for split, names in (("train", ["no", "yes"]), ("test", ["yes", "no"])):
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
        rows.to_parquet(str(tmp_path / f"{split}.parquet"))
    assert "test: its metadata has the classes of 'label' in another order than" in refused(str(tmp_path))
