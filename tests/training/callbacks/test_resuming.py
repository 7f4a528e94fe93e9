"""Predictions that are broken off and go on."""

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from emotion_lit.cli import main
from tests.conftest import failing
from tests.fork_server import forked

# Small windows, so that there is something to lose.
PROGRAM = """
import sys
import emotion_lit.data.streaming as streaming
from emotion_lit.cli import main
streaming.WINDOW = 64
main(sys.argv[1:])
"""


def arguments(run: Path, source: Path, target: Path) -> list[str]:
    return ["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}"]


def start(*words: str, **settings: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings)  # type: ignore[call-overload, no-any-return]


def write_texts(path: Path, rows: int = 1500) -> Path:
    words = [
        "what",
        "a",
        "day",
        "it",
        "was",
        "and",
        "nobody",
        "came",
        "to",
        "see",
        "how",
        "we",
        "all",
        "felt",
        "about",
        "that",
    ]
    draw = random.Random(0)
    path.write_text("".join(" ".join(draw.choices(words, k=draw.randint(1, 40))) + "\n" for _ in range(rows)))
    return path


def kill_and_go_on(run: Path, folder: Path, kills: int, suffix: str, seed: int = 0) -> None:
    """Kills a prediction at random moments, and compares what comes of it with an uninterrupted one."""
    source = write_texts(folder / "texts.txt")
    whole, broken = folder / f"whole{suffix}", folder / f"broken{suffix}"
    assert start(*arguments(run, source, whole)).wait() == 0
    parts = broken.with_name(f".{broken.name}.parts")
    draw, done = random.Random(seed), 0
    while done < kills:
        process = start(*arguments(run, source, broken))
        before = len(list(parts.glob("0*"))) if parts.exists() else 0
        while process.poll() is None and (len(list(parts.glob("0*"))) if parts.exists() else 0) <= before:
            time.sleep(0.002)
        time.sleep(draw.random() * 0.1)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            assert not broken.exists() or broken.read_bytes() == whole.read_bytes()
        process.wait()
        done += 1
        if broken.exists():
            assert broken.read_bytes() == whole.read_bytes()
            broken.unlink()
    if not broken.exists():
        assert start(*arguments(run, source, broken)).wait() == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert not parts.exists()


@pytest.mark.slow  # tests/faults has the short ones
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_killed_and_started_again_it_writes_the_same_file(tiny_run: Path, tmp_path: Path, suffix: str) -> None:
    kill_and_go_on(tiny_run, tmp_path, 2, suffix)


@pytest.mark.slow
def test_twenty_kills(tiny_run: Path, tmp_path: Path) -> None:
    kill_and_go_on(tiny_run, tmp_path, 20, ".jsonl", seed=1)


def broken_off(run: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output of which two windows are done, and which then has hit an error."""
    from emotion_lit.inference import resumable_output

    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)
    source, target = write_texts(folder / "texts.txt", 60), folder / "out.csv"
    add = resumable_output.Parts.add

    def fail(self: resumable_output.Parts, *more: object) -> None:
        if self.state.windows == 2:
            raise OSError(28, "No space left on device")
        add(self, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(resumable_output.Parts, "add", fail)
        message = failing(capsys, *arguments(run, source, target))
    assert "No space left on device" in message
    assert not target.exists()
    return target


def whole_of(run: Path, source: Path, target: Path, *more: str) -> Path:
    """What one process writes without a stop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emotion_lit.data.streaming.WINDOW", 16)
        main([*arguments(run, source, target), *more])
    return target


def check_whole(target: Path, run: Path, source: Path) -> None:
    """Checks that an output is, byte for byte, what one process writes without a stop."""
    assert target.read_bytes() == whole_of(run, source, target.with_name(f"whole{target.suffix}")).read_bytes()


def test_a_full_disk_costs_nothing(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    words = arguments(tiny_run, tmp_path / "texts.txt", target)
    main(words)
    assert "32 rows are labeled already" in capsys.readouterr().err
    check_whole(target, tiny_run, tmp_path / "texts.txt")


def test_another_input_or_setting_is_noticed(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    words = arguments(tiny_run, tmp_path / "texts.txt", target)
    assert "a setting of the prediction changed" in failing(capsys, *words, "--prediction.top_k=2")
    with (tmp_path / "texts.txt").open("a") as file:
        file.write("one more\n")
    assert "the input changed; change it back to resume" in failing(capsys, *words)
    main([*words, "--prediction.overwrite=true"])
    assert len(target.read_text().splitlines()) == 62


def test_rows_of_another_version_are_refused_for_that_reason(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    monkeypatch.setattr("emotion_lit.training.callbacks.prediction_writer.__version__", "0.0.9")
    with (tmp_path / "texts.txt").open("a") as file:  # another version may also hash the same input differently
        file.write("one more\n")
    message = failing(capsys, *arguments(tiny_run, tmp_path / "texts.txt", target))
    assert "since then the version of emotion_lit changed; change it back to resume" in message


@pytest.mark.slow
def test_standard_input_goes_on_too(tiny_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "whole.csv"
    assert start(*arguments(tiny_run, write_texts(tmp_path / "texts.txt", 60), target)).wait() == 0
    lines = (tmp_path / "texts.txt").read_text()
    words = arguments(tiny_run, Path("-"), tmp_path / "piped.csv")
    limited = {"stdin": subprocess.PIPE, "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))}
    process = start(*words, **limited)
    out, _ = process.communicate(lines * 20)
    assert process.returncode == 2, out
    assert "cannot be written: File too large" in out
    assert "labeled rows are kept" not in out or "the same command resumes after them" in out
    process = start(*words, stdin=subprocess.PIPE)
    out, _ = process.communicate(lines)
    assert process.returncode == 0, out
    assert (tmp_path / "piped.csv").read_bytes() == target.read_bytes()


def test_an_output_is_not_overwritten_unless_told_to(
    tiny_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments(tiny_run, texts_file, tmp_path / "out.csv")
    main(words)
    first = (tmp_path / "out.csv").read_bytes()
    assert "already exists" in failing(capsys, *words, "--prediction.top_k=2")
    assert (tmp_path / "out.csv").read_bytes() == first
    main([*words, "--prediction.top_k=2", "--prediction.overwrite=true"])
    assert (tmp_path / "out.csv").read_bytes() != first


def test_a_second_run_into_an_output_refuses(
    tiny_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(tmp_path / ".out.csv.lock"):
        message = failing(capsys, *arguments(tiny_run, texts_file, tmp_path / "out.csv"))
    assert "another run is writing" in message


def test_a_closed_pipe_ends_without_a_traceback(tiny_run: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.txt")
    words = [*forked(), "-c", PROGRAM, *arguments(tiny_run, source, Path("-"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018
    assert process.stdout.readline().startswith('{"id": 0')
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait() == 0
    assert "Traceback" not in said


def test_a_folder_that_is_read_gets_no_output_and_keeps_its_parts(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    assert "the next run would read it too" in failing(capsys, *arguments(tiny_run, tmp_path, target))
    main(arguments(tiny_run, tmp_path / "texts.txt", target))
    assert "32 rows are labeled already" in capsys.readouterr().err


def test_a_file_that_took_the_name_in_between_stays(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    target.write_text("mine")
    words = arguments(tiny_run, tmp_path / "texts.txt", target)
    assert "already exists" in failing(capsys, *words)
    assert target.read_text() == "mine"
    main([*words, "--prediction.overwrite=true"])
    assert "32 rows are labeled already" in capsys.readouterr().err


def test_a_part_of_the_input_is_not_taken_for_all_of_it(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)
    words = arguments(tiny_run, write_texts(tmp_path / "texts.txt", 60), tmp_path / "out.csv")
    main([*words, "--trainer.limit_predict_batches=3", "--data.tokens_per_batch=128"])
    assert not (tmp_path / "out.csv").exists()
    main([*words, "--data.tokens_per_batch=128"])
    assert "rows are labeled already" in capsys.readouterr().err
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 61


def test_an_input_that_grows_meanwhile_is_noticed(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_lit.inference import resumable_output
    from emotion_lit.inference.output_state import State

    source = write_texts(tmp_path / "texts.txt", 20)
    begin = resumable_output.Parts.open

    def grow(self: resumable_output.Parts, *of_the_output: Any) -> State:
        with source.open("a") as file:
            file.write("one more\n")
        return begin(self, *of_the_output)

    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 4)
    monkeypatch.setattr(resumable_output.Parts, "open", grow)
    message = failing(capsys, *arguments(tiny_run, source, tmp_path / "out.csv"))
    assert "the input changed while it was read" in message
    assert not (tmp_path / "out.csv").exists()
