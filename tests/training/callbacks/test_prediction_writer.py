import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from emotion_lit.cli import main
from tests.conftest import Train, failing

LABELS = ["Neutral", "Surprise", "Fear", "Sadness", "Joy", "Anger", "Love"]


def predict(run: Path, source: object, target: object, *more: str) -> None:
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}", *more])


def test_all_formats_say_the_same(tiny_run: Path, texts_file: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        predict(tiny_run, texts_file, tmp_path / f"out.{suffix}")
    with (tmp_path / "out.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_jsonl = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    from_parquet = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (
        list(from_csv[0])
        == list(from_jsonl[0])
        == ["id", "text", "label", "score", *(f"p_{x}" for x in LABELS), "note"]
    )
    assert [row["text"] for row in from_jsonl] == texts_file.read_text().splitlines()
    for one, two, three in zip(from_csv, from_jsonl, from_parquet, strict=True):
        assert one["label"] == two["label"] == three["label"]
        assert float(one["score"]) == two["score"] == pytest.approx(three["score"], abs=1e-6)
    assert not list(tmp_path.glob(".*"))


def test_stdin_to_stdout_holds_nothing_but_rows(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"id": "k1", "text": "hooray"}\n{"id": "k2", "text": null}\n'))
    capsys.readouterr()
    predict(tiny_run, "-", "-")
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [row["id"] for row in rows] == ["k1", "k2"]
    assert (rows[1]["label"], rows[1]["score"]) == ("", None)
    assert "1 rows have no label" in captured.err
    assert "row 2" in captured.err
    assert captured.err.rstrip().endswith("2 rows written to stdout")  # no bar is drawn after the last word


def test_a_folder_comes_in_order(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.txt").write_text("third\n")
    (folder / "a.txt").write_text("first\nsecond\n")
    predict(tiny_run, folder, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"]) for row in rows] == [(0, "first"), (1, "second"), (2, "third")]


def test_many_windows_keep_the_order(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)
    (tmp_path / "in.txt").write_text("".join(f"number {n} {'and on ' * (n % 9)}\n" for n in range(100)))
    predict(tiny_run, tmp_path / "in.txt", tmp_path / "out.jsonl", "--data.tokens_per_batch=16")
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
    tiny_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    (tmp_path / "blocked").write_text("a file, not a folder")
    arguments = (
        f"--ckpt_path={tiny_run}",
        f"--data.predict_path={texts_file}",
        f"--prediction.path={tmp_path / target}",
    )
    assert message in failing(capsys, "predict", *arguments)


def test_an_old_output_survives_a_bad_input(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    (tmp_path / "out.csv").write_text("old")
    arguments = (
        f"--data.predict_path={tmp_path / 'in.jsonl'}",
        f"--prediction.path={tmp_path / 'out.csv'}",
        "--prediction.overwrite=true",
    )
    assert "line 2 is not JSON" in failing(capsys, "predict", f"--ckpt_path={tiny_run}", *arguments)
    assert (tmp_path / "out.csv").read_text() == "old"


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_the_columns_may_be(tiny_run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"key": "a", "body": "hooray", "n": 1}\n{"key": "b", "body": "oh no", "n": null}\n')
    columns = ("--data.text_column=body", "--data.id_column=key", "--data.keep_columns=[n]")
    more = ("--prediction.top_k=3", "--prediction.threshold=0.9", "--prediction.probabilities=false")
    predict(tiny_run, source, tmp_path / "out.jsonl", *columns, *more)
    ranked = [f"{name}_{rank}" for rank in (2, 3) for name in ("label", "score")]
    first, second = rows_of(tmp_path / "out.jsonl")
    assert list(first) == ["id", "text", "label", "score", *ranked, "n", "note"]
    assert (first["id"], first["n"], second["id"], second["n"]) == ("a", 1, "b", None)
    assert first["label"] == "uncertain"
    assert first["score"] >= first["score_2"] >= first["score_3"]  # type: ignore[operator]
    predict(tiny_run, source, tmp_path / "out.parquet", *columns, *more)
    assert pq.read_table(tmp_path / "out.parquet").column("n").to_pylist() == [1, None]


def test_odd_texts_have_a_row_and_a_note(tiny_run: Path, tmp_path: Path) -> None:
    texts = [None, "", "  \t", "so happy " * 120_000, "half \ud83d", "fine"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["label"] for row in rows[:3]] == ["", "", ""]
    assert {row["note"] for row in rows[:3]} == {"no text: null, empty or not a string"}
    assert rows[3]["note"] == "only its first 128 tokens were read"
    assert rows[3]["text"] == texts[3]
    assert rows[4]["note"] == "half a character was replaced"
    assert all(row["label"] for row in rows[3:])
    assert rows[5]["note"] is None


def test_bad_rows_can_be_skipped(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(
        b'{"text": "fine"}\n{"text": \n{"txt": "odd"}\n{"text": "na\xefve"}\n{"text": "ok"}\n'
    )
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--prediction.on_error=skip")
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [0, 2, 4]
    assert rows_of(tmp_path / "out.jsonl")[1]["note"] == "no text: null, empty or not a string"
    rejects = rows_of(tmp_path / "out.jsonl.rejects.jsonl")
    assert [str(reject["where"]) for reject in rejects] == [f"in.jsonl, line {line}" for line in (2, 4)]
    assert "byte 0xef" in str(rejects[1]["reason"])
    assert "3 rows written" in (last := capsys.readouterr().err.splitlines()[-1])
    assert "2 could not be read" in last


def test_a_missing_column_lists_those_there_are(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("id,remark\n1,fine\n")
    words = (f"--data.predict_path={tmp_path / 'in.csv'}", f"--prediction.path={tmp_path / 'out.csv'}")
    assert "Available: id, remark. Name it with data.text_column" in failing(
        capsys, "predict", f"--ckpt_path={tiny_run}", *words
    )
    message = failing(
        capsys, "predict", f"--ckpt_path={tiny_run}", *words, "--data.text_column=remark", "--data.keep_columns=[x]"
    )
    assert "column 'x' is not known" in message


def test_columns_of_the_input_keep_their_values_whatever_their_names(tiny_run: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": None, "text": "fine", "labels": "joy", "label_id": 4, "score_of": "me", "p_value": 0.1},
        {"id": 7, "text": "odd", "labels": "fear", "label_id": 5, "score_of": "you", "p_value": 1e-9},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = ["labels", "label_id", "score_of", "p_value"]
    for suffix in ("csv", "parquet"):
        predict(tiny_run, tmp_path / "in.jsonl", tmp_path / f"out.{suffix}", f"--data.keep_columns={kept}")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [{key: row[key] for key in kept} for row in found] == [{key: row[key] for key in kept} for row in rows]
    assert [row["id"] for row in found] == [None, "7"]
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["labels"] for row in csv.DictReader(file)] == ["joy", "fear"]


def test_any_character_can_be_written(tiny_run: Path, tmp_path: Path) -> None:
    rows = [{"id": "\ud83d", "text": "a\rb", "more": ["\ude00"]}, {"id": "2", "text": 'c\nd, "e"', "more": []}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.csv", "--data.keep_columns=[more]")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [(row["id"], row["text"], row["more"]) for row in found] == [
        ("?", "a\rb", '["?"]'),
        ("2", 'c\nd, "e"', "[]"),
    ]


def test_a_bad_line_with_bad_bytes_is_a_reject(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,text\n1,fine\n2,na\xefve,or not\n")
    predict(tiny_run, tmp_path / "in.csv", tmp_path / "out.csv", "--prediction.on_error=skip")
    (reject,) = rows_of(tmp_path / "out.csv.rejects.jsonl")
    assert "byte 0xef is not UTF-8" in str(reject["reason"])


def test_an_input_without_a_good_row_is_a_mistake(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("id,remark\n1,fine\n2,odd\n")
    words = (f"--data.predict_path={tmp_path / 'in.csv'}", f"--prediction.path={tmp_path / 'out.csv'}")
    message = failing(capsys, "predict", f"--ckpt_path={tiny_run}", *words, "--prediction.on_error=skip")
    assert "Available: id, remark" in message


def test_texts_are_found_in_a_column_of_a_usual_name(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("id,Tweet\n1,fine\n2,odd\n")
    predict(tiny_run, tmp_path / "in.csv", tmp_path / "out.csv", "--data.keep_columns=[Tweet]")
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [(row["id"], row["text"], row["Tweet"]) for row in csv.DictReader(file)] == [
            ("1", "fine", "fine"),
            ("2", "odd", "odd"),
        ]
    assert capsys.readouterr().err.count("the texts are read from the column 'Tweet'") == 1


def test_texts_longer_than_the_backbone_reads_are_refused(
    tiny_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"--data.predict_path={texts_file}", f"--prediction.path={tmp_path / 'out.csv'}", "--data.max_length=600")
    assert "reads at most 512 tokens" in failing(capsys, "predict", f"--ckpt_path={tiny_run}", *words)


def test_a_link_stays_and_its_target_gets_the_rows(tiny_run: Path, texts_file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "rows.csv", tmp_path / "out.csv"
    target.write_text("old")
    link.symlink_to(target)
    words = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", f"--prediction.path={link}"]
    main([*words, "--prediction.overwrite=true"])
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "out.csv", "texts.txt"]


def test_an_output_that_another_program_has_open_is_named(
    tiny_run: Path,
    texts_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.csv"
    words = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", f"--prediction.path={output}"]

    def refused(parts: Any) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    with monkeypatch.context() as patch:
        patch.setattr("emotion_lit.inference.resumable_output.Parts.publish", refused)
        assert "close the program that has it open" in failing(capsys, *words)
    main(words)
    assert len(output.read_text().splitlines()) == 5


def test_a_closed_pipe_of_windows_is_one(
    tiny_run: Path, texts_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(text: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("emotion_lit.utils.platforms.is_windows", lambda: True)
    monkeypatch.setattr("emotion_lit.inference.stdout_output.write_result", closed)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    with pytest.raises(SystemExit) as exit_info:
        predict(tiny_run, texts_file, "-")
    assert exit_info.value.code == 0
    assert "make room" not in capsys.readouterr().err
