import os
from pathlib import Path

import pytest

from emotion_lit.data.formats.files import record_files
from emotion_lit.errors import UserError
from emotion_lit.inference.output_paths import check_apart
from tests.conftest import failing


def check(target: Path, source: Path) -> None:
    check_apart(target, record_files(str(source)), str(source))


def test_an_input_is_not_written_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\nfine\n")
    (tmp_path / "link.csv").symlink_to(source)
    os.link(source, tmp_path / "second.csv")
    (tmp_path / "folder").symlink_to(tmp_path)
    names = [source, tmp_path / "link.csv", tmp_path / "second.csv", tmp_path / "folder" / "in.csv"]
    for target in (*names, tmp_path / "x" / ".." / "in.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=r"in\.csv is read, and would be overwritten"):
            check(target, source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="would be overwritten"):
        check(Path("in.csv"), source)
    check(tmp_path / "out.csv", source)


def test_rejects_of_an_earlier_run_are_read_into_another_output(tmp_path: Path) -> None:
    rejects = tmp_path / "out.csv.rejects.jsonl"
    rejects.write_text('{"text": "fine"}\n')
    with pytest.raises(UserError, match="is read, and would be overwritten"):
        check(tmp_path / "out.csv", rejects)
    check(tmp_path / "second.csv", rejects)


def test_an_output_is_not_among_the_files_of_the_folder_that_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.txt").write_text("fine\n")
    (tmp_path / "link").symlink_to(folder)
    for target in (folder / "out.csv", folder / "deeper" / "out.parquet", tmp_path / "link" / "out.jsonl"):
        with pytest.raises(UserError, match="the next run would read it too"):
            check(target, folder)
    check(folder / ".hidden" / "out.csv", folder)
    check(tmp_path / "out.csv", folder)


def test_predict_refuses_it_before_the_work(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\nfine\n")
    words = ("predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={source}", f"--prediction.path={source}")
    assert "would be overwritten" in failing(capsys, *words, "--prediction.overwrite=true")
    assert source.read_text() == "text\nfine\n"
