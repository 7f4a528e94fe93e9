"""`python -m emotion_lit cache`."""

import os
import re
import shutil
from pathlib import Path

import pytest

from emotion_lit.cli import main
from emotion_lit.utils import files
from tests.conftest import failing
from tests.utils.test_caches import fit, of_dead_process

KEY = "0123456789abcdef" * 2


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of made-up files of known sizes."""
    folder = tmp_path / "cache"
    for name, megabytes in {
        f"tokens/{KEY}/ids.npy": 3,
        f"tokens/{KEY}/offsets.npy": 1,
        f"features/{KEY}.npy": 2,
        f"onnx/{KEY[:16]}-1.000000.int8.onnx": 5,
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(megabytes * 10**6))
        os.utime(file, (1.69996e9 + megabytes, 0))  # noon of 2023-11-14
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def rows(text: str) -> dict[str, list[str]]:
    return {cells[0]: cells[1:] for cells in (re.split(r"\s\s+", line) for line in text.splitlines()) if cells[0]}


def test_it_is_shown(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "tokens" / "link").symlink_to(cache / "onnx")
    main(["cache", f"--cache_dir={cache}"])
    said = capsys.readouterr()
    shown = rows(said.out)
    assert shown["tokens"] == ["2", "4.0 MB", "2023-11-14"]
    assert shown["features"] == ["1", "2.0 MB", "2023-11-14"]
    assert shown["onnx"] == ["1", "5.0 MB", "2023-11-14"]
    assert shown["total"] == ["4", "11.0 MB", "2023-11-14"]
    assert "huggingface/hub" not in shown
    assert str(cache) in said.err


def test_gigabytes(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(cache / "features" / f"{KEY}.npy", 2_340_000_000)  # without a block of disk
    main(["cache", f"--cache_dir={cache}"])
    assert rows(capsys.readouterr().out)["features"][1] == "2.3 GB"


def test_caches_of_the_hub_are_shown_where_they_are_in_the_folder(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "huggingface" / "hub").mkdir(parents=True)
    (cache / "huggingface" / "hub" / "blob").write_bytes(bytes(10**6))
    monkeypatch.setenv("EMOTION_LIT_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache / "huggingface" / "hub"))
    main(["cache"])
    shown = rows(capsys.readouterr().out)
    assert shown["huggingface/hub"][:2] == ["1", "1.0 MB"]
    assert shown["total"][:2] == ["5", "12.0 MB"]
    assert "huggingface/xet" not in shown
    main(["cache", "--clear", "all"])
    assert contents(cache) == ["huggingface/hub/blob"]
    assert "'huggingface/hub' is not known" in failing(capsys, "cache", "--clear", "huggingface/hub")


@pytest.mark.parametrize(
    ("kinds", "freed", "left"),
    [
        (["all"], "11.0 MB", []),
        (["tokens", "features"], "6.0 MB", [f"onnx/{KEY[:16]}-1.000000.int8.onnx"]),
        (["onnx"], "5.0 MB", [f"features/{KEY}.npy", f"tokens/{KEY}/ids.npy", f"tokens/{KEY}/offsets.npy"]),
    ],
)
def test_kinds_are_cleared(
    cache: Path, capsys: pytest.CaptureFixture[str], kinds: list[str], freed: str, left: list[str]
) -> None:
    (cache / "other").mkdir()
    (cache / "other" / "file").write_text("not ours")
    main(["cache", f"--cache_dir={cache}", "--clear", *kinds])
    assert f"freed {freed}" in capsys.readouterr().err
    assert contents(cache) == sorted([*left, "other/file"])


def test_links_are_not_followed(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(cache, outside)
    (cache / "tokens" / KEY / "inside").symlink_to(outside / "tokens")
    (cache / "features" / KEY).symlink_to(outside / "features")
    shutil.rmtree(cache / "onnx")
    (cache / "onnx").symlink_to(outside / "onnx")
    main(["cache", f"--cache_dir={cache}"])
    assert rows(capsys.readouterr().out)["onnx (a link)"][0] == "0"
    main(["cache", f"--cache_dir={cache}", "--clear", "all"])
    assert "freed 6.0 MB" in capsys.readouterr().err
    assert len(contents(outside)) == 4
    assert contents(cache) == []
    assert (cache / "onnx").is_symlink()


def test_what_a_living_process_writes_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = files.temporary_name(cache / "features" / f"{KEY}.npy")
    unfinished = files.temporary_name(ours)
    folder = files.temporary_name(cache / "tokens" / KEY)
    folder.mkdir()
    for file in (ours, unfinished, folder / "ids.npy", of_dead_process(cache / "features" / f"{KEY}.npy")):
        file.write_bytes(bytes(10**6))
    main(["cache", f"--cache_dir={cache}", "--clear", "all"])
    said = capsys.readouterr().err
    assert "freed 12.0 MB" in said
    assert "kept 3 that running processes are writing" in said
    assert contents(cache) == sorted(
        file.relative_to(cache).as_posix() for file in (ours, unfinished, folder / "ids.npy")
    )


def test_what_the_user_keeps_in_a_folder_of_that_name_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "features" / "age.csv").write_text("a folder of another program's, given by mistake")
    main(["cache", f"--cache_dir={cache}", "--clear", "all"])
    assert contents(cache) == ["features/age.csv"]
    assert "age.csv does not belong to this cache, and is kept" in capsys.readouterr().err


def test_the_cache_of_an_earlier_version_can_be_removed(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    earlier = shutil.copytree(cache, tmp_path / "xdg" / "emotion_lit")
    monkeypatch.delenv("EMOTION_LIT_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(cache))  # as on macOS and Windows
    main(["cache"])
    command = f"python -m emotion_lit cache --cache_dir {earlier} --clear all"
    assert f"{earlier} is the cache of an earlier version; remove it with: {command}" in capsys.readouterr().err
    main(command.split()[3:])
    assert contents(earlier) == []
    assert len(contents(cache)) == 4
    shutil.rmtree(earlier)
    main(["cache"])
    assert "earlier version" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--clear", "all"]])
def test_nothing_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        main(["cache", f"--cache_dir={folder}", *words])
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == f"the cache {folder} is empty\n"


def test_what_cannot_be_done_is_said(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        "--clear 'token' is not known; did you mean 'tokens'? Available: tokens, features, baselines, onnx, all"
        in failing(capsys, "cache", f"--cache_dir={cache}", "--clear", "token")
    )
    (tmp_path / "file").write_text("")
    assert "cannot be read: Not a directory" in failing(capsys, "cache", f"--cache_dir={tmp_path / 'file'}")
    unlink = os.unlink

    def held(path: str, **more: int) -> None:
        if str(path).endswith(".npy"):
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, **more)

    monkeypatch.setattr("os.unlink", held)
    line = failing(capsys, "cache", f"--cache_dir={cache}", "--clear", "all")
    assert re.search(r"2 cannot be removed, the first .*: Permission denied", line)
    assert len(contents(cache)) == 3


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "tokens").chmod(0)
    try:
        assert "cannot be read: Permission denied" in failing(capsys, "cache", f"--cache_dir={cache}")
    finally:
        (cache / "tokens").chmod(0o755)


def test_what_a_run_keeps_is_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of real runs are known as ours."""
    cache = tmp_path / "cache"
    run = fit(tmp_path, cache)
    (cache / "onnx").mkdir()
    for made in _onnx_files(run, tmp_path):
        shutil.copy(made, cache / "onnx")
    assert len(contents(cache)) == 11
    main(["cache", f"--cache_dir={cache}", "--clear", "all"])
    assert contents(cache) == []


def _onnx_files(run: Path, folder: Path) -> list[Path]:
    (folder / "texts.txt").write_text("what a day!\n")
    words = [f"--data.predict_path={folder / 'texts.txt'}", f"--prediction.path={folder / 'labels.csv'}"]
    main(["predict", f"--ckpt_path={run}", *words, "--prediction.engine=onnx"])
    return list((run / "checkpoints" / "best.onnx").iterdir())
