"""`predict --prediction.cluster ray`: a folder of parts with the rows of one process, through crashes."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.cluster import ray_data, ray_session
from emotion_lit.cluster.ray_session import Resources
from tests.conftest import ROOT, failing

SMALL_WINDOW = 16
PROGRAM = f"""
import sys
import emotion_lit.data.streaming as streaming
from emotion_lit.cli import main
streaming.WINDOW = {SMALL_WINDOW}
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", SMALL_WINDOW)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of files of several formats, into which windows do not fit, with rows that cannot be read."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [f"row {row} " + "so it is " * (row % 9) if row % 13 else "" for row in range(100)]
    (folder / "a.csv").write_text("text;more\n" + "".join(f'"{text}";{row}\n' for row, text in enumerate(texts[:37])))
    rows = [json.dumps({"text": text, "more": 1}) for text in texts[37:60]]
    rows[3] = "{broken"
    (folder / "b.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "c.jsonl").touch()
    pq.write_table(pa.table({"text": texts[60:], "more": [float(n) for n in range(40)]}), folder / "d.parquet")
    return folder


def words(run: Path, source: Path | str, target: Path | str, *more: str) -> list[str]:
    paths = [f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}"]
    return ["predict", *paths, "--prediction.on_error=skip", "--data.keep_columns=[more]", *more]


def rows_of(target: Path) -> list[dict[str, Any]]:
    """The rows in the order of the names of the parts, without the number of the row, which is checked."""
    rows = [row for part in sorted(target.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    numbers = [row.pop("row") for row in rows]
    assert numbers == sorted(set(numbers))
    return rows


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Readers and actors run in this process, in turn, as Ray would call them; returns the rows of each window."""
    written: list[int] = []

    def run(job: Any, parts: Any, engine: str, pieces: Any, resources: Resources) -> Iterator[tuple[int, str]]:
        reader, labeler = ray_data.Reader(job.data), ray_data.Labeler(job, parts, engine, 1)
        for piece in pieces:
            for window in reader({"piece": [pickle.dumps(piece)]}):
                labeled = labeler(window)
                written.extend(labeled["rows"])
                yield labeled["rows"][0], labeled["message"][0]

    class Session:
        def __init__(self, *_: Any) -> None: ...
        def __enter__(self) -> Resources:
            return Resources((1,), 0)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(ray_data, "_run", run)
    monkeypatch.setattr(ray_data, "ray_session", Session)
    return written


def test_ray_writes_the_rows_of_one_process(
    tiny_run: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, target = tmp_path / "whole.parquet", tmp_path / "out"
    main(words(tiny_run, source, whole))
    capfd.readouterr()
    main(words(tiny_run, source, target, "--prediction.cluster=ray"))
    said = capfd.readouterr()
    assert said.out == ""
    unlabeled = pq.read_table(whole).column("score").null_count
    bars = ("read:", "predict:")  # on a slow machine
    threads = torch.get_num_threads()
    assert [line for line in said.err.splitlines() if not line.startswith(bars)] == [
        "a.csv: fields separated by semicolons (data.separator, data.encoding and data.header set it)",
        "starting Ray on this machine",
        f"actors: 1, each with {'1 thread' if threads == 1 else f'{threads} threads'}",
        f"warning: {unlabeled} rows have no label, and their note says why; the first is row 1",
        f"99 rows written to {target}, 1 could not be read; they are in {target}/_rejects.jsonl",
    ]
    assert rows_of(target) == pq.read_table(whole).to_pylist()
    assert pq.read_table(target).drop_columns("row").schema.equals(pq.read_schema(whole))
    assert (target / "_rejects.jsonl").read_text() == whole.with_name("whole.parquet.rejects.jsonl").read_text()
    assert {file.name[0] for file in target.iterdir()} == {"p", "_"}
    first, last = sorted(target.glob("part-*"))[0].name, sorted(target.glob("part-*"))[-1].name
    assert first == "part-000000000000-000000000015.parquet"
    assert last == "part-000000000096-000000000099.parquet"


def test_the_same_command_goes_on_after_the_parts_that_are_whole(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inline: list[int]
) -> None:
    target, cluster = tmp_path / "out", "--prediction.cluster=ray"
    main(words(tiny_run, source, target, cluster))
    expected, count = rows_of(target), len(inline)
    parts = sorted(target.glob("part-*"))
    parts[0].unlink()
    parts[2].write_bytes(parts[2].read_bytes()[:-1])
    (target / "_parts" / f"{parts[4].name}.json").write_text("{")
    inline.clear()
    capsys.readouterr()
    main(words(tiny_run, source, target, cluster))
    assert len(inline) == 3 < count
    assert rows_of(target) == expected
    assert "rows are labeled already; continuing after them" in capsys.readouterr().err
    inline.clear()
    main(words(tiny_run, source, target, cluster))
    assert not inline
    line = failing(capsys, *words(tiny_run, source, target, cluster, "--prediction.threshold=0.5"))
    assert "has parts of an earlier run, and a setting of the prediction changed since then" in line
    (source / "a.csv").write_text("text;more\nanother;1\n")
    assert "the input changed since then" in failing(capsys, *words(tiny_run, source, target, cluster))
    main(words(tiny_run, source, target, cluster, "--prediction.overwrite=true"))
    assert len(rows_of(target)) == 1 + 22 + 40


def test_an_address_is_read_and_written(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inline: list[int]
) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/bucket/in", recursive=True)
    main(words(tiny_run, source, tmp_path / "out", "--prediction.cluster=ray"))
    remote = words(tiny_run, "memory://bucket/in", "memory://bucket/out", "--prediction.cluster=ray")
    main(remote)
    memory.get("/bucket/out/", str(tmp_path / "copy"), recursive=True)
    assert rows_of(tmp_path / "copy") == rows_of(tmp_path / "out")
    inline.clear()
    memory.rm(memory.glob("/bucket/out/part-*")[1])
    main(remote)
    assert inline == [16]
    assert "there is no file or folder memory://bucket/no" in failing(
        capsys, *words(tiny_run, "memory://bucket/no", "memory://bucket/out", "--prediction.cluster=ray")
    )


def test_the_gate_is_decided_once_and_remembered(
    tiny_run: Path,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    inline: list[int],
    monkeypatch: Any,
) -> None:
    given: list[Any] = []

    def choose(candidates: list[str], model: Any, batches: list[Any], *_: Any, again: bool) -> str:
        given.append((candidates, sum(len(batch["row"]) for batch in batches), again))
        return "torch bf16"

    monkeypatch.setattr("emotion_lit.inference.engine_candidates.choose", choose)
    more = ("--prediction.cluster=ray", "--prediction.engine=onnx")
    main(words(tiny_run, source, tmp_path / "out", *more))
    next((tmp_path / "out").glob("part-*")).unlink()
    main(words(tiny_run, source, tmp_path / "out", *more))
    assert [one[0] for one in given] == [["onnx"], ["torch bf16"]]
    assert [one[2] for one in given] == [False, True]
    assert given[0][1] == given[1][1] > 0
    assert capsys.readouterr().err.count("engine: torch bf16") == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--prediction.path=-"], "writes a folder of Parquet parts; give it as --prediction.path"),
        (["--prediction.path=labels.csv"], "not labels.csv; give a folder as --prediction.path"),
        (["--data.predict_path=-"], "standard input cannot be labeled; save it first"),
        (["--data.keep_columns=[row]"], "data.keep_columns has row, which prediction.cluster adds"),
        (["--trainer.devices=2"], "trainer.devices has no effect with prediction.cluster; leave it out"),
        (["--prediction.cluster=nowhere"], "prediction.cluster nowhere is not an address"),
        (["--prediction.cluster=127.0.0.1:1"], "there is no Ray cluster at 127.0.0.1:1"),
        (["--prediction.path=s9://bucket/out"], "s9://bucket/out cannot be reached"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], expected: str
) -> None:
    assert expected in failing(capsys, *words(tiny_run, source, tmp_path / "out", "--prediction.cluster=ray", *more))


def test_other_files_are_not_touched(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    cluster = "--prediction.cluster=ray"
    line = failing(capsys, *words(tiny_run, source, tmp_path / "out", cluster))
    assert "holds files that are not parts of this command, such as mine.txt" in line
    assert "is in the folder" in failing(capsys, *words(tiny_run, source, source / "out", cluster))


def test_ray_is_missing_or_has_no_room(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = words(tiny_run, source, tmp_path / "out", "--prediction.cluster=ray")
    with monkeypatch.context() as patch:
        patch.setattr(ray_session, "LEAST_SHARED", 2**60)
        line = failing(capsys, *command)
        assert "shm has" in line
        assert "start the container with --shm-size=2g" in line
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert failing(capsys, *command) == 'error: Ray is not installed; type: pip install "emotion-lit[ray]"'


@pytest.mark.parametrize(
    ("machines", "gpus", "wanted", "on_gpus", "expected"),
    [
        ((8, 8), 0, None, False, (2, 8)),
        ((8, 4), 0, None, False, (2, 4)),
        ((8, 8), 0, 4, False, (4, 4)),
        ((8, 4), 0, 3, False, (3, 4)),
        ((8, 8), 4, None, True, (4, 1)),
        ((2,), 0, 1, False, (1, 2)),
    ],
)
def test_actors_fill_the_machines(
    machines: tuple[int, ...], gpus: int, wanted: int | None, on_gpus: bool, expected: tuple[int, int]
) -> None:
    assert Resources(machines, gpus).actors(wanted, on_gpus) == expected


def start(folder: Path, *given: str) -> "subprocess.Popen[str]":
    """A command as a process of its own, with small windows."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "screen.txt").open("a") as screen:
        command = [sys.executable, "-c", PROGRAM, *given]
        return subprocess.Popen(command, stdout=screen, stderr=screen, text=True, env=environment)


def actors_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The actors that a driver has started."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            if "Labeler" in " ".join(one.cmdline()) or "Labeler" in one.name():
                found.append(one)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_an_error_of_an_actor_is_one_line(
    tiny_run: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = words(tiny_run, source, tmp_path / "out", "--prediction.cluster=ray", "--data.max_length=100000")
    with pytest.raises(SystemExit):
        main(command)
    errors = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(("read:", "predict:"))]
    assert errors[-2] == "0 labeled rows are kept; the same command resumes after them"
    assert errors[-1].startswith("error: data.max_length is 100000, but the backbone reads at most")
    assert len(errors) <= 6


@pytest.mark.slow
def test_kills_of_actors_and_of_the_driver_lose_and_double_nothing(tiny_run: Path, tmp_path: Path) -> None:
    source, whole, target = tmp_path / "in.txt", tmp_path / "whole.parquet", tmp_path / "out"
    draw = random.Random(0)
    source.write_text("".join(f"row {row} {'so it is ' * draw.randint(0, 12)}\n" for row in range(6000)))
    paths = [f"--ckpt_path={tiny_run}", f"--data.predict_path={source}"]
    assert start(tmp_path, "predict", *paths, f"--prediction.path={whole}").wait() == 0
    command = ["predict", *paths, f"--prediction.path={target}", "--prediction.cluster=ray"]
    kills = {"driver": 0, "actor": 0}
    wanted = ["actor"] * 10 + ["driver"] * 3
    draw.shuffle(wanted)
    process = start(tmp_path, *command)
    for kind in wanted:
        there = len(list(target.glob("part-*")))
        while process.poll() is None and len(list(target.glob("part-*"))) < there + draw.randint(3, 12):
            time.sleep(0.02)
        assert process.poll() is None, (tmp_path / "screen.txt").read_text()[-2000:]
        if kind == "driver":
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start(tmp_path, *command)
        else:
            victims = actors_of(process)
            assert victims
            victims[0].kill()
        kills[kind] += 1
    assert process.wait(900) == 0, (tmp_path / "screen.txt").read_text()[-2000:]
    assert kills == {"driver": 3, "actor": 10}
    assert rows_of(target) == pq.read_table(whole).to_pylist()
    assert not [one for one in target.iterdir() if one.name.startswith(".")]
