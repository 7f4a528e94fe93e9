"""Caches that cannot be used: everything goes on without them, and a line says so."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_lit import caches
from emotion_lit.cli import main
from tests.conftest import SMALL


@pytest.fixture(autouse=True)
def _say_again() -> None:
    caches._blamed.clear()


def fit(folder: Path, cache: Path, *more: str) -> Path:
    arguments = ["--model.tuning=head", "--trainer.max_epochs=1", "--name=own", f"--data.cache_dir={cache}"]
    main(["fit", *SMALL, *arguments, f"--trainer.default_root_dir={folder}", *more])
    return folder / "own" / "version_0"


def lines_about(capsys: pytest.CaptureFixture[str], words: str) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if words in line]


@pytest.mark.parametrize(
    "tuning", [[], ["--model.tuning=full", "--model.trainable_layers=2", "--trainer.max_epochs=2"]]
)
def test_a_cache_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], tuning: list[str]) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    run = fit(tmp_path, tmp_path / "cache", *tuning)
    said = lines_about(capsys, "cannot be written")
    assert len(said) == 1
    assert str(tmp_path / "cache") in said[0]
    assert (run / "report.json").is_file()


def test_damaged_entries_are_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = fit(tmp_path / "first", tmp_path / "cache")
    entries = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(entries) == 9  # ids and offsets, and features, of three splits
    for place, entry in enumerate(entries):
        content = entry.read_bytes()
        entry.unlink()
        if place % 3:
            entry.write_bytes(content[: len(content) // 2] if place % 3 == 1 else b"")
    capsys.readouterr()
    second = fit(tmp_path / "second", tmp_path / "cache")
    assert lines_about(capsys, "is damaged")
    reports = [json.loads((run / "report.json").read_text()) for run in (first, second)]
    assert reports[0]["after"] == reports[1]["after"]
    fit(tmp_path / "third", tmp_path / "cache")
    assert not lines_about(capsys, "is damaged")


def test_files_that_cannot_be_mapped_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = np.load

    def unmapped(file: Any, mmap_mode: Any = None, **more: Any) -> Any:
        if mmap_mode:
            raise OSError(19, "No such device")
        return load(file, **more)

    monkeypatch.setattr("numpy.load", unmapped)
    assert (fit(tmp_path, tmp_path / "cache") / "report.json").is_file()
    assert lines_about(capsys, "cannot be mapped")


def test_a_disk_that_is_full_is_found_before_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    assert (fit(tmp_path, tmp_path / "cache") / "report.json").is_file()
    assert lines_about(capsys, "No space left on device; every epoch encodes the texts")
    assert not list((tmp_path / "cache" / "features").iterdir())


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("EMOTION_LIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    folder = caches.cache_dir()
    assert folder.parent.is_dir()
    assert caches.writable_dir(folder) == folder


def test_one_variable_moves_the_caches_of_libraries_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*caches.LIBRARY_CACHES, "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EMOTION_LIT_CACHE", str(tmp_path))
    caches.place_library_caches()
    for name in caches.LIBRARY_CACHES:
        assert Path(os.environ[name]).is_relative_to(tmp_path)
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "own"))
    caches.place_library_caches()
    assert os.environ["HF_DATASETS_CACHE"] == str(tmp_path / "own")
    for name in caches.LIBRARY_CACHES:
        monkeypatch.delenv(name)


def test_a_cache_of_libraries_that_cannot_be_made_is_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*caches.LIBRARY_CACHES, "EMOTION_LIT_CACHE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file" / "below"))
    caches.place_library_caches()
    assert Path(os.environ["HF_DATASETS_CACHE"]).is_relative_to(caches.temporary_dir() or "none")
    for name in caches.LIBRARY_CACHES:
        monkeypatch.delenv(name, raising=False)


def test_two_users_share_one(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        fit(tmp_path, tmp_path / "cache")
    finally:
        os.umask(before)
    for path in (tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o775 if path.is_dir() else 0o664), path
