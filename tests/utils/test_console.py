"""Streams, the log of a run, and tables."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from emotion_lit.cli import main
from emotion_lit.utils import console
from emotion_lit.utils.commands import command_line
from emotion_lit.utils.console_tables import table
from tests.conftest import ROOT, Train
from tests.fork_server import forked


class Full(io.TextIOBase):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_run_keeps_its_log_without_bars(train: Train) -> None:
    log = (train("--model.tuning=head") / "run.log").read_text()
    for words in ("train: 140 texts", "macro-F1", "epoch 2/2: ", "predict --ckpt_path"):
        assert words in log
    assert "\r" not in log
    assert "texts/s" not in log


def test_what_a_full_stream_loses_stands_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console.start_log()
    console.keep_log(tmp_path / "run.log", only_if_lost=True)
    console.say("said before")
    assert not (tmp_path / "run.log").exists()
    monkeypatch.setattr("sys.stderr", Full())
    console.say("lost")
    with console.progress_bar("bar", 10) as bar:
        bar.update(10)
    console.say("lost too")
    assert (tmp_path / "run.log").read_text() == "said before\nlost\nlost too\n"


def run_with(redirection: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = f"{command_line(*forked(), '-m', 'emotion_lit', *words)} {redirection}"
    return subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("redirection", ["1>/dev/full 2>/dev/full", "1>&- 2>&- 0<&-"], ids=["full", "closed"])
def test_scores_are_computed_whatever_the_streams_are(tiny_run: Path, tmp_path: Path, redirection: str) -> None:
    (tiny_run / "run.log").unlink(missing_ok=True)
    kept = tmp_path / "evaluation.json"
    done = run_with(redirection, "test", f"--ckpt_path={tiny_run}", f"--evaluation.path={kept}")
    assert done.returncode == 0
    assert kept.is_file()
    if "full" in redirection:
        assert "macro-F1" in (tiny_run / "run.log").read_text()


def test_results_are_utf8_in_any_locale(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("so glücklich 😀 怖い\n", encoding="utf-8")
    words = [sys.executable, "-m", "emotion_lit", "predict", f"--ckpt_path={tiny_run}"]
    words.append(f"--data.predict_path={tmp_path / 'texts.txt'}")
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env |= {"PYTHONIOENCODING": "cp1252", "EMOTION_LIT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert "so glücklich 😀 怖い" in done.stdout.decode("utf-8")
    assert b"\r" not in done.stdout


def test_a_configuration_is_utf8_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: Gefühle\n", encoding="utf-8")
    words = [sys.executable, "-m", "emotion_lit", "fit", f"--config={tmp_path / 'own.yaml'}", "--print_config"]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert "name: Gefühle" in done.stdout.decode("utf-8") or "Gef\\xFChle" in done.stdout.decode("utf-8")


def test_closed_standard_input_is_a_line(tiny_run: Path) -> None:
    done = run_with("0<&-", "predict", f"--ckpt_path={tiny_run}", "--data.predict_path=-")
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_for_a_closed_stdout_are_refused(tiny_run: Path, texts_file: Path) -> None:
    done = run_with("1>&-", "predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}")
    assert done.returncode == 2
    assert "standard output is closed" in done.stderr


def test_a_table_keeps_to_the_columns_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["class", "precision", "recall"], ["怖い", "0.5", "0.25"]]
    assert table(rows).splitlines()[1] == "-----  ---------  ------"
    monkeypatch.setattr("emotion_lit.utils.console_tables.terminal_width", lambda stream: 18)
    assert table(rows).splitlines() == [
        *("class  precision", "-----  ---------", "怖い         0.5", ""),
        *("class  recall", "-----  ------", "怖い     0.25"),
    ]
    monkeypatch.setattr("emotion_lit.utils.console_tables.terminal_width", lambda stream: 12)
    assert table(rows).splitlines() == ["怖い", "  0.5 precision", "  0.25 recall"]


def test_commands_are_quoted() -> None:
    assert command_line("python", Path("my runs") / "x") == "python 'my runs/x'"


def test_errors_stand_in_the_log_too(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Full())
    (tiny_run / "run.log").unlink(missing_ok=True)
    with pytest.raises(SystemExit):
        main(["predict", f"--ckpt_path={tiny_run}", "--data.predict_path=nowhere.txt"])
    assert "error: there is no file nowhere.txt" in (tiny_run / "run.log").read_text()
