import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from emotion_lit.cli import main
from tests.conftest import Train, failing

LABELS = ["Neutral", "Surprise", "Fear", "Sadness", "Joy", "Anger", "Love"]


def predict(run: Path, source: object, target: object, *more: str) -> None:
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}", *more])


def test_all_formats_say_the_same(lora_run: Path, texts_file: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        predict(lora_run, texts_file, tmp_path / f"out.{suffix}")
    with (tmp_path / "out.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_jsonl = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    from_parquet = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert list(from_csv[0]) == list(from_jsonl[0]) == ["id", "text", "label", "score", *(f"p_{x}" for x in LABELS)]
    assert [row["text"] for row in from_jsonl] == texts_file.read_text().splitlines()
    for one, two, three in zip(from_csv, from_jsonl, from_parquet, strict=True):
        assert one["label"] == two["label"] == three["label"]
        assert float(one["score"]) == two["score"] == pytest.approx(three["score"], abs=1e-6)
    assert not list(tmp_path.glob(".*.part"))


def test_stdin_to_stdout_holds_nothing_but_rows(
    lora_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"id": "k1", "text": "hooray"}\n{"id": "k2", "text": null}\n'))
    capsys.readouterr()
    predict(lora_run, "-", "-")
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [row["id"] for row in rows] == ["k1", "k2"]
    assert (rows[1]["label"], rows[1]["score"]) == ("", None)
    assert "1 of them have no label" in captured.err
    assert captured.err.rstrip().endswith("row 2")  # no bar is drawn after the last word
    assert "row 2" in captured.err


def test_a_folder_comes_in_order(lora_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.txt").write_text("third\n")
    (folder / "a.txt").write_text("first\nsecond\n")
    predict(lora_run, folder, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"]) for row in rows] == [(0, "first"), (1, "second"), (2, "third")]


def test_many_windows_keep_the_order(lora_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)
    (tmp_path / "in.txt").write_text("".join(f"number {n} {'and on ' * (n % 9)}\n" for n in range(100)))
    predict(lora_run, tmp_path / "in.txt", tmp_path / "out.jsonl", "--data.tokens_per_batch=64")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(range(100))
    assert [row["text"].split()[1] for row in rows] == [str(n) for n in range(100)]


def test_several_labels_a_text(train: Train, texts_file: Path, tmp_path: Path) -> None:
    run = train("--model.tuning=head", "--data.multi_label=true", "--model.threshold=0.2")
    predict(run, texts_file, tmp_path / "out.jsonl")
    for line in (tmp_path / "out.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert set(row["labels"]) == {label for label in LABELS if row[f"p_{label}"] >= 0.2}


@pytest.mark.parametrize(
    ("target", "message"),
    [("out.xlsx", "should end in .csv, .jsonl or .parquet"), ("blocked/out.csv", "cannot be written")],
)
def test_a_bad_output_is_found_before_the_work(
    lora_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    (tmp_path / "blocked").write_text("a file, not a folder")
    arguments = (
        f"--ckpt_path={lora_run}",
        f"--data.predict_path={texts_file}",
        f"--prediction.path={tmp_path / target}",
    )
    assert message in failing(capsys, "predict", *arguments)


def test_an_old_output_survives_a_bad_input(lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    (tmp_path / "out.csv").write_text("old")
    arguments = (f"--data.predict_path={tmp_path / 'in.jsonl'}", f"--prediction.path={tmp_path / 'out.csv'}")
    assert "line 2 is not JSON" in failing(capsys, "predict", f"--ckpt_path={lora_run}", *arguments)
    assert (tmp_path / "out.csv").read_text() == "old"
