"""Files that are written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.utils import files
from emotion_lit.utils.files import atomic_path, sweep, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "kept.txt", "old\n")

    def fail() -> None:
        with atomic_path(tmp_path / "kept.txt") as unfinished:
            unfinished.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / "kept.txt").read_bytes() == b"old\n"
    assert names(tmp_path) == ["kept.txt"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with atomic_path(tmp_path / "folder") as unfinished:
            unfinished.mkdir()
            (unfinished / content).write_text(content)
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["two"]


def test_a_file_that_is_open_elsewhere_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a scanner holds a fresh file for a moment."""
    refusals, replace = [True, True], os.replace

    def refuse(*paths: Any) -> None:
        if refusals:
            refusals.pop()
            raise PermissionError(13, "The process cannot access the file")
        replace(*paths)

    monkeypatch.setattr("os.replace", refuse)
    write_text(tmp_path / "kept.txt", "new")
    assert (tmp_path / "kept.txt").read_text() == "new"
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.1)
    refusals += [True] * 100
    with pytest.raises(PermissionError):
        write_text(tmp_path / "kept.txt", "newer")
    assert (tmp_path / "kept.txt").read_text() == "new"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "there" / "target.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there" / "target.txt").read_text() == "new"


def test_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    ours = files.temporary_name(tmp_path / "a.npy")
    ours.write_text("in use")
    dead = ours.with_name(ours.name.replace(f"-{os.getpid()}-", "-4194301-"))
    dead.write_text("left")
    sweep.cache_clear()
    sweep(tmp_path)
    assert names(tmp_path) == [ours.name]


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with atomic_path(tmp_path / "shared") as unfinished:
            unfinished.mkdir()
            (unfinished / "file").write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o775
    assert (tmp_path / "shared" / "file").stat().st_mode & 0o777 == 0o664


def test_an_old_folder_whose_successor_never_came_is_put_back(tmp_path: Path) -> None:
    """Killed between the two renames, in which a folder is replaced."""
    ours = files.temporary_name(tmp_path / "export")
    old = ours.with_name(ours.name.replace(f"-{os.getpid()}-", "-4194301-")).with_suffix(".old")
    old.mkdir()
    (old / "model").write_text("old")
    sweep.cache_clear()
    sweep(tmp_path)
    assert names(tmp_path) == ["export"]
    assert names(tmp_path / "export") == ["model"]
