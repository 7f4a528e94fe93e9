"""Caches that cannot be used: everything goes on without them, and a line says so."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.data.vectors import StoredVectors
from emotion_lit.inference.onnx_export import write_int8, write_onnx
from emotion_lit.model.checkpoint import read_checkpoint
from emotion_lit.model.factory import restore
from emotion_lit.model.features import FrozenPart, fill_vectors
from emotion_lit.utils import caches, files
from emotion_lit.utils.checksums import append_checksum, is_intact, read_array
from emotion_lit.utils.distributed import node_file
from tests.conftest import SMALL

Damage = Callable[[Path], None]
DEAD = 4194301  # more than the system counts to


def flip(file: Path) -> None:
    """Flips a bit behind the header, in one of the first values, but not the first."""
    content = bytearray(file.read_bytes())
    content[137] ^= 4
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def unseal(file: Path) -> None:
    np.save(file, np.load(file))


DAMAGES = [flip, halve, empty, unseal]


def of_dead_process(file: Path) -> Path:
    name = files.temporary_name(file).name
    return file.with_name(name.replace(f"-{os.getpid()}-", f"-{DEAD}-"))


@pytest.fixture(autouse=True)
def _say_again() -> None:
    caches._warned.clear()


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
    assert len(entries) == 10  # ids and offsets, and features, of three splits; and the baselines
    for place, entry in enumerate(entries):
        (Path.unlink, empty, halve, flip)[place % 4](entry)
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


def raises(*_: Any, **__: Any) -> str:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("answer", [raises, lambda *_, **__: "~/.cache/emotion_lit"])
def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., str]) -> None:
    """Releases of platformdirs differ."""
    monkeypatch.delenv("EMOTION_LIT_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", answer)
    folder = caches.cache_dir()
    assert folder.parent.is_dir()
    assert caches.writable_dir(folder) == folder


def test_the_default_is_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier versions kept elsewhere is found, to be removed."""
    for name in ("EMOTION_LIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache" / "emotion_lit" / "tokens").mkdir(parents=True)
    if sys.platform == "linux":
        assert caches.cache_dir() == tmp_path / ".cache" / "emotion_lit"
        assert caches.earlier_cache_dir() is None
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "Library"))  # as on macOS
    assert caches.cache_dir() == tmp_path / "Library"
    assert caches.earlier_cache_dir() == tmp_path / ".cache" / "emotion_lit"
    shutil.rmtree(tmp_path / ".cache")
    assert caches.earlier_cache_dir() is None


def test_one_variable_moves_the_caches_of_libraries_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*caches.LIBRARY_CACHES, "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EMOTION_LIT_CACHE", str(tmp_path))
    caches.set_library_caches()
    for name in caches.LIBRARY_CACHES:
        assert Path(os.environ[name]).is_relative_to(tmp_path)
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "own"))
    caches.set_library_caches()
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
    caches.set_library_caches()
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


OFFSETS = np.arange(6)


def outputs(value: float) -> FrozenPart:
    return FrozenPart(lambda batch: torch.full((len(batch["row"]), 1, 3), value), 3, torch.float32, None)


def keep(file: Path, sealed: bool = True) -> None:
    with node_file(
        file,
        local_rank=0,
        create=lambda made: StoredVectors.create(made, OFFSETS, 3, torch.float32),
        finish=lambda full: append_checksum(full) if sealed else None,
    ) as unfinished:
        fill_vectors(outputs(0.5), [{"row": torch.arange(5)}], OFFSETS, unfinished)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_features_are_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    file = tmp_path / "features" / "key.npy"
    file.parent.mkdir()
    keep(file)
    kept = StoredVectors.read(file, OFFSETS, torch.float32)
    assert kept is not None
    assert kept[[0, 4]].eq(0.5).all()
    del kept
    damage(file)
    assert StoredVectors.read(file, OFFSETS, torch.float32) is None
    assert lines_about(capsys, "is damaged")


def test_all_bytes_are_sealed(tmp_path: Path) -> None:
    keep(tmp_path / "key.npy")
    whole = (tmp_path / "key.npy").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "key.npy").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_array(tmp_path / "key.npy") is None, place


def test_a_network_as_onnx_is_sealed_and_still_one(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, int8 = tmp_path / "exact.onnx", tmp_path / "int8.onnx"
    write_onnx(restore(read_checkpoint(tiny_run)), exact)
    write_int8(exact, int8)
    for file in (exact, int8):
        assert is_intact(file)
        onnx.checker.check_model(file)
        onnxruntime.InferenceSession(file)
        whole = file.read_bytes()
        for damage in (flip, halve, empty):
            caches._warned.clear()
            file.write_bytes(whole)
            damage(file)
            assert not is_intact(file)
            assert lines_about(capsys, "is damaged (its checksum is wrong); computing it again")
    assert not is_intact(tmp_path / "missing.onnx")
    assert not lines_about(capsys, "missing")


def test_what_one_run_reads_alone_is_not_sealed(tmp_path: Path) -> None:
    keep(tmp_path / "key.npy", sealed=False)
    assert (tmp_path / "key.npy").stat().st_size == 128 + 5 * 3 * 4
    assert StoredVectors.read(tmp_path / "key.npy", OFFSETS, torch.float32) is None
    assert StoredVectors.read(tmp_path / "key.npy", OFFSETS, torch.float32, sealed=False) is not None


def test_token_states_of_killed_runs_are_swept(tmp_path: Path) -> None:
    left = of_dead_process(tmp_path / "key.npy")
    half = of_dead_process(left)  # killed while it was being written
    for file in (left, half):
        file.write_bytes(b"gigabytes")
    files.sweep.cache_clear()
    keep(tmp_path / "other.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["other.npy"]


def test_temporary_folders_of_killed_processes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = (
        "import os; from emotion_lit.utils.caches import temporary_dir; "
        "(temporary_dir() / 'file').touch(); os.kill(os.getpid(), 9)"
    )
    (tmp_path / "emotion_lit-of-the-user").mkdir()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    files.sweep.cache_clear()
    with caches.temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "emotion_lit-of-the-user"])
        assert folder.stat().st_mode & 0o777 == 0o700
        files.sweep.cache_clear()
        subprocess.run([sys.executable, "-c", code], check=False)
        assert folder.is_dir()  # of a living process
    assert not folder.exists()


def test_a_temporary_folder_of_an_earlier_process_of_the_same_number_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers, where the first process always has the same number."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    number = int(files.temporary_name(tmp_path / "emotion_lit").name.split("-")[-1].split(".")[0]) + 1
    taken = tmp_path / f".emotion_lit.{files._machine()}-{os.getpid()}-{number}.part"
    taken.mkdir()
    with caches.temporary_folder() as folder:
        assert folder != taken


def test_temporary_folders_of_other_machines_are_left_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    foreign = tmp_path / ".emotion_lit.00000000-1-0.part"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    with caches.temporary_folder():
        assert foreign.is_dir()
