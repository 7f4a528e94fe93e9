"""Parts of an output: damaged ones, and several processes that share them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from emotion_lit import EmotionDataModule
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.resumable_output import Parts
from emotion_lit.training.callbacks.progress import TextProgress
from tests.conftest import ROOT, failing
from tests.fork_server import forked
from tests.training.callbacks.test_resuming import arguments, broken_off, check_whole, whole_of, write_texts

# Lightning starts the other processes by the same script. One of them may be told to find the disk full.
SCRIPT = """
import os
import sys
import emotion_lit.inference.resumable_output as parts
import emotion_lit.data.streaming as streaming
from emotion_lit.cli import main

add = parts.Parts.add

def fail(self, *more):
    if self.state.windows > int(os.environ.get("FAILS_AFTER", 0)):
        raise OSError(28, "No space left on device")
    add(self, *more)

streaming.WINDOW = 16
if os.environ.get("LOCAL_RANK", "0") == os.environ.get("FAILS"):
    parts.Parts.add = fail
main(sys.argv[1:])
"""


# Those that are killed are no processes of the fork server, so that they are dead when they have been waited for.
FRESH = [sys.executable]


def start(python: list[str], folder: Path, processes: int, *words: str, **variables: str) -> "subprocess.Popen[str]":
    script = folder / "script.py"
    script.write_text(SCRIPT)
    several = ["--trainer.accelerator=cpu", f"--trainer.devices={processes}"]
    several += ["--trainer.strategy=ddp"] if processes > 1 else []
    return subprocess.Popen(
        [*python, str(script), *words, *several],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def said_by(process: "subprocess.Popen[str]", code: int = 0) -> str:
    try:
        said = process.communicate(timeout=180)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == code, said
    return said


def kill(process: "subprocess.Popen[str]", parts: Path, more: int) -> None:
    """Kills all processes of a command when so many more parts are there."""
    there = len(list(parts.glob("0*.json")))
    while process.poll() is None and len(list(parts.glob("0*.json"))) < there + more:
        time.sleep(0.002)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def odd_rows(path: Path) -> Path:
    """Texts, and among them rows without one, and rows that cannot be read."""
    draw, rows = random.Random(0), []
    for row in range(150):
        text = None if row % 37 == 30 else " ".join(draw.choices(["what", "a", "day", "so", "happy"], k=1 + row % 20))
        rows.append('{"text": \n' if row % 23 == 20 else json.dumps({"text": text, "n": row}) + "\n")
    path.write_text("".join(rows))
    return path


# Several processes


def test_two_processes_write_what_one_writes(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = odd_rows(tmp_path / "in.jsonl")
    whole = whole_of(tiny_run, source, tmp_path / "whole.csv", "--prediction.on_error=skip")
    last = capsys.readouterr().err.splitlines()[-2:]
    words = arguments(tiny_run, source, tmp_path / "out.csv")
    said = said_by(start(forked(), tmp_path, 2, *words, "--prediction.on_error=skip")).replace("out.csv", "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == whole.read_bytes()
    rejects = tmp_path / "out.csv.rejects.jsonl"
    assert rejects.read_bytes() == (tmp_path / "whole.csv.rejects.jsonl").read_bytes()
    assert "rows have no label" in last[0]
    assert "could not be read" in last[1]
    assert [said.count(line) for line in last] == [1, 1]
    assert not list(tmp_path.glob(".*"))


def test_killed_with_two_processes_one_goes_on(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = write_texts(tmp_path / "texts.txt", 600), tmp_path / "out.jsonl"
    kill(start(FRESH, tmp_path, 2, *arguments(tiny_run, source, target)), tmp_path / ".out.jsonl.parts", 4)
    assert not target.exists()
    whole_of(tiny_run, source, target)
    assert "rows are labeled already" in capsys.readouterr().err
    whole = whole_of(tiny_run, source, tmp_path / "whole.jsonl")
    assert target.read_bytes() == whole.read_bytes()


def test_an_unreadable_row_ends_all_processes_with_one_line(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n' * 40 + '{"text": \n')
    said = said_by(
        start(forked(), tmp_path, 2, *arguments(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.csv")), code=2
    )
    assert said.count("error: ") == 1
    assert "line 41 is not JSON" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("fails", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_an_error_of_one_process_ends_all_soon_and_keeps_what_is_done(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    source, target = write_texts(tmp_path / "texts.txt", 3000), tmp_path / "out.csv"
    variables = {"FAILS": fails, "FAILS_AFTER": "2"}
    said = said_by(start(forked(), tmp_path, 2, *arguments(tiny_run, source, target), **variables), code=2)
    assert said.count("error: ") == 1
    assert "No space left on device" in said
    assert said.count("labeled rows are kept; the same command resumes after them") == 1
    assert 3 <= len(list((tmp_path / ".out.csv.parts").glob("0*.json"))) < 120
    assert not target.exists()
    if fails == "0":
        whole_of(tiny_run, source, target)
        assert "rows are labeled already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_killed_again_and_again_with_other_numbers_of_processes(tiny_run: Path, tmp_path: Path, suffix: str) -> None:
    source, target = odd_rows(tmp_path / "in.jsonl"), tmp_path / f"out{suffix}"
    words = [*arguments(tiny_run, source, target), "--prediction.on_error=skip"]
    whole = whole_of(tiny_run, source, tmp_path / f"whole{suffix}", "--prediction.on_error=skip")
    for processes, more in ((3, 1), (2, 2), (1, 2)):
        kill(start(FRESH, tmp_path, processes, *words), tmp_path / f".out{suffix}.parts", more)
    if not target.exists():
        said_by(start(forked(), tmp_path, 3, *words))
    assert target.read_bytes() == whole.read_bytes()
    rejects = tmp_path / f"out{suffix}.rejects.jsonl"
    assert rejects.read_bytes() == (tmp_path / f"whole{suffix}.rejects.jsonl").read_bytes()


@pytest.mark.slow
def test_more_processes_than_windows(tiny_run: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.txt", 30)
    said_by(start(forked(), tmp_path, 3, *arguments(tiny_run, source, tmp_path / "out.csv")))
    whole = whole_of(tiny_run, source, tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_limit_with_two_processes(tiny_run: Path, tmp_path: Path) -> None:
    source, target = write_texts(tmp_path / "texts.txt", 300), tmp_path / "out.csv"
    words = [*arguments(tiny_run, source, target), "--data.tokens_per_batch=128"]
    said = said_by(start(forked(), tmp_path, 2, *words, "--trainer.limit_predict_batches=6"))
    assert said.count("labeled rows are kept") == 1
    assert not target.exists()
    assert "rows are labeled already" in said_by(start(forked(), tmp_path, 2, *words))
    whole = whole_of(tiny_run, source, tmp_path / "whole.csv", "--data.tokens_per_batch=128")
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "received"), [(0, "SIGTERM"), (1, "SIGTERM"), (0, "SIGKILL"), (1, "SIGKILL")])
def test_none_waits_for_a_process_that_has_ended(tiny_run: Path, tmp_path: Path, rank: int, received: str) -> None:
    source, target = write_texts(tmp_path / "texts.txt", 1500), tmp_path / "out.csv"
    process = start(FRESH, tmp_path, 2, *arguments(tiny_run, source, target))
    while process.poll() is None and len(list((tmp_path / ".out.csv.parts").glob("0*.json"))) < 4:
        time.sleep(0.002)
    number = process.pid if rank == 0 else psutil.Process(process.pid).children()[0].pid
    os.kill(number, getattr(signal, received))
    said = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "Traceback" not in said
    assert said.count("error: ") <= 1
    assert not target.exists()


@pytest.mark.parametrize(
    ("source", "target", "stream"), [("-", "out.csv", "standard input"), ("in.txt", "-", "standard output")]
)
def test_standard_streams_are_those_of_one_process(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, target: str, stream: str
) -> None:
    (tmp_path / "in.txt").write_text("what a day!\n")
    places = [name if name == "-" else str(tmp_path / name) for name in (source, target)]
    words = arguments(tiny_run, Path(places[0]), Path(places[1]))
    several = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    line = failing(capsys, *words, *several)
    assert f"{stream} is" in line
    assert "leave out --trainer.devices" in line


# Windows


def test_windows_that_are_left_are_dealt_out_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 10)
    (tmp_path / "a.txt").write_text("".join(f"text {place}\n" for place in range(75)))

    def windows(*how: Any) -> tuple[list[int], list[str]]:
        data = EmotionDataModule(backbone="embedded", predict_path=str(tmp_path / "a.txt"))
        data.setup("predict")
        data.stream.resume(*how)
        found = [batch["window"].number for batch in data.predict_dataloader()]
        return sorted(set(found)), list(data.stream.digests)

    everything, digests = windows({})
    assert everything == list(range(8))
    done = {number: digests[number] for number in (0, 3, 4)}
    assert [windows(done, 30, rank, 2)[0] for rank in range(2)] == [[1, 5, 7], [2, 6]]
    for wrong in ({3: digests[2]}, {8: digests[0]}):
        with pytest.raises(UserError, match="the input is not the one that the kept rows were made from"):
            windows(wrong)


def test_the_bar_of_a_prediction_stays_within_its_total() -> None:
    data = SimpleNamespace(rows_to_label=10, rows_done=3)
    trainer: Any = SimpleNamespace(datamodule=data, world_size=4)
    progress, model = TextProgress(), Any
    progress.on_predict_start(trainer, model)  # type: ignore[arg-type]
    assert progress._evaluation is not None
    for rows in (1, 2):
        progress.on_predict_batch_end(trainer, model, None, {"row": [0] * rows})  # type: ignore[arg-type]
    assert progress._evaluation.n == 10
    progress._stop()


# Damaged parts


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage(kind: str, parts: Path) -> None:
    part, sidecar = parts / "00000001.csv", parts / "00000001.json"
    if kind == "a truncated part":
        part.write_bytes(part.read_bytes()[:-20])
    elif kind == "a missing part":
        part.unlink()
    elif kind == "a missing sidecar":
        sidecar.unlink()
    elif kind == "an exchanged sidecar":
        sidecar.write_bytes((parts / "00000000.json").read_bytes())
    else:
        flip(part if kind == "a flipped byte" else sidecar)


@pytest.mark.parametrize(
    "kind",
    [
        "a truncated part",
        "a flipped byte",
        "a missing part",
        "a missing sidecar",
        "a flipped sidecar",
        "an exchanged sidecar",
    ],
)
def test_what_is_damaged_is_computed_again(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    damage(kind, tmp_path / ".out.csv.parts")
    main(arguments(tiny_run, tmp_path / "texts.txt", target))
    said = capsys.readouterr().err
    assert "16 rows are labeled already" in said
    lost = kind == "a missing sidecar"  # as after a kill: then it was never counted
    assert (f"part 1 of {target} is damaged; computing it again" in said) != lost
    check_whole(target, tiny_run, tmp_path / "texts.txt")


@pytest.mark.parametrize("limit", ["--trainer.limit_predict_batches=2", "--trainer.fast_dev_run=true"])
def test_a_limit_inside_the_first_part_is_said(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    words = arguments(tiny_run, write_texts(tmp_path / "texts.txt", 60), tmp_path / "out.csv")
    main([*words, "--data.tokens_per_batch=32", limit])
    said = capsys.readouterr().err
    assert "out.csv is not written: the Trainer's limit" in said
    assert "damaged" not in said
    main(words)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 61


def test_damaged_rejects_are_found_too(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)
    source = odd_rows(tmp_path / "in.jsonl")
    words = [*arguments(tiny_run, source, tmp_path / "out.csv"), "--prediction.on_error=skip"]
    main([*words, "--trainer.limit_predict_batches=6"])
    flip(tmp_path / ".out.csv.parts" / "00000001.rejects")
    main(words)
    assert "part 1 of" in capsys.readouterr().err
    whole_of(tiny_run, source, tmp_path / "whole.csv", "--prediction.on_error=skip")
    rejects = tmp_path / "out.csv.rejects.jsonl"
    assert rejects.read_bytes() == (tmp_path / "whole.csv.rejects.jsonl").read_bytes()


def test_a_part_that_is_damaged_before_the_end_is_no_part_of_the_output(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    words = arguments(tiny_run, tmp_path / "texts.txt", target)
    publish = Parts.publish

    def late(self: Parts, *more: Any) -> None:
        flip(tmp_path / ".out.csv.parts" / "00000001.csv")
        publish(self, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "publish", late)
        assert "run the same command again" in failing(capsys, *words)
    assert not target.exists()
    main(words)
    assert "44 rows are labeled already" in capsys.readouterr().err
    check_whole(target, tiny_run, tmp_path / "texts.txt")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"made_from": 3}', "bogus engine"])
def test_a_damaged_state_is_no_dead_end(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    state = tmp_path / ".out.csv.parts" / "state.json"
    if content == "bogus engine":
        content = json.dumps({**json.loads(state.read_text()), "engine": "bogus"})
    state.write_text(content)
    words = arguments(tiny_run, tmp_path / "texts.txt", target)
    line = failing(capsys, *words)
    assert "is damaged" in line
    assert "--prediction.overwrite true" in line
    main([*words, "--prediction.overwrite=true"])
    check_whole(target, tiny_run, tmp_path / "texts.txt")


def test_parts_of_an_earlier_release_are_made_anew(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    parts = tmp_path / ".out.csv.parts"
    totals = {"windows": 2, "rows": 32, "rejects": 0, "unlabeled": 0, "first_unlabeled": None, "digest": "0"}
    (parts / "state.json").write_text(json.dumps({**json.loads((parts / "state.json").read_text()), **totals}))
    for sidecar in parts.glob("0*.json"):
        sidecar.unlink()
    main(arguments(tiny_run, tmp_path / "texts.txt", target))
    assert "already" not in capsys.readouterr().err
    assert len(target.read_text().splitlines()) == 61


@pytest.mark.parametrize(
    "moment", ["emotion_lit.inference.resumable_output.Parts._remove", "emotion_lit.inference.resumable_output.replace"]
)
def test_stopped_while_it_is_published(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = broken_off(tiny_run, tmp_path, capsys, monkeypatch)
    words = arguments(tiny_run, tmp_path / "texts.txt", target)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moment, stop)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            main(words)
    assert target.exists() == moment.endswith("_remove")
    main(words)
    assert "60 rows written" in capsys.readouterr().err
    check_whole(target, tiny_run, tmp_path / "texts.txt")
    assert not list(tmp_path.glob(".out*"))
