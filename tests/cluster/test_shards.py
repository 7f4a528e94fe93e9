"""Shards that are labeled one by one, and joined to the file that one command writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.cli import main
from tests.conftest import failing

SHARDS = 3


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 16)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose column changes its type from window to window, some without a text, and two that cannot be read."""
    rows = []
    for row in range(90):
        more = row if row < 20 else row + 0.5 if row < 40 else f"number {row}"
        rows.append(json.dumps({"id": f"r{row}", "text": "so " * (row % 7) + "it is", "more": more}))
    rows[5], rows[70] = json.dumps({"id": "none", "text": None, "more": 1}), "{broken"
    rows.append("{broken too")
    file = tmp_path_factory.mktemp("shards") / "texts.jsonl"
    file.write_text("\n".join(rows) + "\n")
    return file


def words(run: Path, source: Path, target: Path, *more: str) -> list[str]:
    paths = [f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}"]
    return ["predict", *paths, "--prediction.on_error=skip", "--data.keep_columns=[more]", *more]


def label_shards(run: Path, source: Path, target: Path, *more: str) -> list[Path]:
    for number in range(1, SHARDS + 1):
        main(words(run, source, target, f"--prediction.shard={number}/{SHARDS}", *more))
    return [target.with_name(f"{target.stem}-{n:05}-of-{SHARDS:05}{target.suffix}") for n in range(1, SHARDS + 1)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_joined_shards_are_the_file_of_one_command(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    main(words(tiny_run, source, whole))
    expected = [line for line in capsys.readouterr().err.splitlines() if "rows" in line]
    files = label_shards(tiny_run, source, target)
    assert f"python -m emotion_lit join {target}" in capsys.readouterr().err
    assert not target.exists()
    assert all(file.stat().st_size for file in files)
    main(["join", str(target)])
    assert target.read_bytes() == whole.read_bytes()
    rejects = [file.with_name(f"{file.name}.rejects.jsonl").read_bytes() for file in (target, whole)]
    assert rejects[0] == rejects[1]
    assert rejects[0].count(b"\n") == 2
    found = [line for line in capsys.readouterr().err.splitlines() if "rows" in line]
    assert found[0] == expected[0]
    joined = expected[1].replace(str(whole), str(target)).replace("rows", f"rows of {SHARDS} shards")
    assert found[1] == f"{joined}; the shards are kept"
    assert "already exists; give another --output, or --overwrite true" in failing(capsys, "join", str(target))
    main(["join", *map(str, reversed(files)), f"--output={tmp_path / 'other'}{suffix}"])
    assert (tmp_path / f"other{suffix}").read_bytes() == whole.read_bytes()


def test_more_shards_than_windows(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("what a day\n" * 20)
    common = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={tmp_path / 'in.txt'}"]
    main([*common, f"--prediction.path={tmp_path / 'whole.csv'}"])
    for number in range(1, 5):
        main([*common, f"--prediction.path={tmp_path / 'out.csv'}", f"--prediction.shard={number}/4"])
    main(["join", str(tmp_path / "out.csv")])
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_shard_goes_on_after_an_error(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_lit.inference import resumable_output

    target, shard = tmp_path / "out.csv", "--prediction.shard=2/3"
    main(words(tiny_run, source, tmp_path / "whole.csv", shard))
    with monkeypatch.context() as patch:
        add = resumable_output.Parts.add

        def fail(self: resumable_output.Parts, *more: object) -> None:
            if self.state.windows == 1:
                raise OSError(28, "No space left on device")
            add(self, *more)  # type: ignore[arg-type]

        patch.setattr(resumable_output.Parts, "add", fail)
        assert "No space left" in failing(capsys, *words(tiny_run, source, target, shard))
    main(words(tiny_run, source, target, shard))
    assert "16 rows are labeled already; continuing after them" in capsys.readouterr().err
    name = "{}-00002-of-00003.csv"
    assert (tmp_path / name.format("out")).read_bytes() == (tmp_path / name.format("whole")).read_bytes()


def test_the_first_shard_chooses_the_engine(
    tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, onnx = tmp_path / "out.csv", "--prediction.engine=onnx"
    tried: list[list[int]] = []
    choose = "emotion_lit.inference.engine_candidates.choose"

    def first(candidates: list[str], model: object, batches: list[Any], *_: object, again: bool) -> str:
        tried.append(sorted(row for batch in batches for row in batch["row"]))
        return candidates[0] if again else "torch bf16"

    monkeypatch.setattr(choose, first)
    label_shards(tiny_run, source, target, onnx)
    assert capsys.readouterr().err.count("engine: torch bf16") == SHARDS
    assert tried[0]
    assert tried[0] == tried[1] == tried[2]  # the same texts, so that shards that see no common folder choose alike
    main(["join", str(target)])
    assert not list(tmp_path.glob(".*engine*"))


@pytest.fixture
def shards(tiny_run: Path, source: Path, tmp_path: Path) -> list[Path]:
    return label_shards(tiny_run, source, tmp_path / "out.csv")


def test_what_does_not_belong_together_is_refused(
    shards: list[Path], tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path, kept)
    shards[1].unlink()
    assert "shard 2/3 of" in failing(capsys, "join", str(target))
    Path(f"{shards[1]}.shard.json").rename(tmp_path / "away.json")
    shutil.copy(kept / shards[1].name, shards[1])
    assert "is not a shard that was completed" in failing(capsys, "join", str(target))
    (tmp_path / "away.json").rename(f"{shards[1]}.shard.json")
    shards[1].write_bytes(shards[1].read_bytes() + b"x")
    line = failing(capsys, "join", str(target))
    assert "out-00002-of-00003.csv is not the file that was written" in line
    assert "--prediction.shard 2/3" in line
    other = words(tiny_run, source, target, "--prediction.shard=2/3", "--prediction.overwrite=true")
    main([*other, "--prediction.threshold=0.9"])
    assert "differ in a setting of the prediction" in failing(capsys, "join", str(target))
    shutil.copy(kept / shards[1].name, tmp_path / "out-00004-of-00009.csv")
    shutil.copy(kept / f"{shards[1].name}.shard.json", tmp_path / "out-00004-of-00009.csv.shard.json")
    assert "are both shard 2/3" in failing(capsys, "join", *map(str, [*shards, tmp_path / "out-00004-of-00009.csv"]))
    assert not target.exists()


@pytest.mark.parametrize(
    ("given", "words_of_the_line"),
    [
        (["--prediction.shard=4/3"], "out of range: shards are numbered from 1 to 3"),
        (["--prediction.shard=0/3"], "out of range"),
        (["--prediction.shard=three"], "write for example 3/16"),
        (["--prediction.shard=1/3", "--prediction.path=-"], "give --prediction.path"),
        (
            ["--prediction.shard=1/3", "--prediction.cluster=ray"],
            "prediction.shard cannot be combined with prediction.cluster",
        ),
        (["--prediction.actors=0"], "prediction.actors is 0"),
    ],
)
def test_settings_that_cannot_work(
    tiny_run: Path,
    texts_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    words_of_the_line: str,
) -> None:
    common = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}"]
    assert words_of_the_line in failing(capsys, *common, f"--prediction.path={tmp_path / 'out.csv'}", *given)


def test_join_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there are no shards of" in failing(capsys, "join", str(tmp_path / "out.csv"))
    (tmp_path / "a.csv").touch()
    line = failing(capsys, "join", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert "is not named as a shard, such as a-00001-of-00003.csv" in line


def test_join_overwrites_no_shard_and_mixes_no_formats(
    shards: list[Path], tiny_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, before = tmp_path / "out.csv", shards[0].read_bytes()
    for name in (shards[0].name, f"{shards[0].name}.shard.json"):
        line = failing(capsys, "join", str(target), f"--output={tmp_path / name}", "--overwrite=true")
        assert "belongs to a shard, and would be overwritten" in line or "should end in .csv" in line
    assert shards[0].read_bytes() == before
    assert "should end in .csv too" in failing(capsys, "join", str(target), f"--output={tmp_path / 'out.parquet'}")
    other = label_shards(tiny_run, source, tmp_path / "other.parquet")[1]
    files = [str(shards[0]), str(other), str(shards[2])]
    assert "there are shards of .csv and .parquet" in failing(capsys, "join", *files, f"--output={tmp_path / 'x.csv'}")
    for folder in (str(tmp_path), "."):
        assert "is a folder; name the --prediction.path" in failing(capsys, "join", folder)


@pytest.mark.parametrize(
    ("key", "value"), [("shard", ["a", 3]), ("made_from", None), ("parts", {"0": {"x": 1}}), ("sha256", None)]
)
def test_a_damaged_description_is_told(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: object
) -> None:
    file = Path(f"{shards[1]}.shard.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    assert f"{file} is damaged; label the shard again" in failing(capsys, "join", str(tmp_path / "out.csv"))
