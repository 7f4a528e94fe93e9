"""Trainings that something goes wrong with: full disks, damaged checkpoints, numbers that are none."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.training import report_figures
from tests.conftest import failing
from tests.faults.kills import SMALL

FULL = ["--model.tuning=full", "--trainer.max_epochs=2"]


@pytest.fixture
def fit(tiny_backbone: Path, tmp_path: Path) -> Any:
    """Trains a tiny model in a folder, by default a fresh one, and gives the run folder."""

    def run(*more: str, root: Path = tmp_path / "logs") -> Path:
        main(["fit", *SMALL, f"--model.backbone={tiny_backbone}", *FULL, f"--trainer.default_root_dir={root}", *more])
        return max(root.glob("*/version_*"), key=lambda folder: int(folder.name.split("_")[1]))

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs a superuser, who can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def last_of(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return loaded


def test_a_full_disk_costs_neither_the_training_nor_the_checkpoint_that_was_whole(
    fit: Any, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(root=small_disk)
    assert "missing" not in capsys.readouterr().err
    (run / "checkpoints" / "previous.ckpt").unlink()
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 4096))
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=3"])
    said = capsys.readouterr().err
    assert "epoch 3/3: 140 texts" in said
    assert "warning: last.ckpt could not be written; the run continues without it" in said
    assert "missing      last.ckpt" in said
    assert "Traceback" not in said
    (small_disk / "filler").unlink()
    assert last_of(run)["epoch"] == 1
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=3"])
    assert last_of(run)["epoch"] == 2


def test_a_full_cache_costs_nothing(fit: Any, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))
    run = fit("--model.tuning=head", "--model.pooling=mean", f"--data.cache_dir={small_disk}")
    assert (run / "report.json").is_file()
    assert "Traceback" not in capsys.readouterr().err


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4  # in the optimizer's state
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda file: file.write_bytes(b""), Path.unlink])
def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(
    fit: Any, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    run = fit()
    expected = last_of(run)["state_dict"]
    checkpoints = run / "checkpoints"
    damage(checkpoints / "last.ckpt")
    main(["fit", f"--ckpt_path={run}"])
    assert "resuming from" in capsys.readouterr().err
    assert all(torch.equal(value, expected[name]) for name, value in last_of(run)["state_dict"].items())


def test_both_damaged_is_an_error(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    for name in ("last.ckpt", "previous.ckpt"):
        truncate(run / "checkpoints" / name)
    assert "previous.ckpt is truncated or damaged" in failing(capsys, "fit", f"--ckpt_path={run}")


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_best_checkpoint_that_is_gone_is_made_anew(fit: Any, capsys: pytest.CaptureFixture[str], damage: Any) -> None:
    run = fit()
    damage(run / "checkpoints" / "best.ckpt")
    main(["fit", f"--ckpt_path={run}"])
    assert "it will be replaced by the best checkpoint from here on" in capsys.readouterr().err
    kept = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, kept[name]) for name, value in last_of(run)["state_dict"].items())


def test_a_loss_that_is_no_number_stops_with_its_rows(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        fit("--model.learning_rate=1e30", "--model.warmup=0")
    assert end.value.code == 2
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert (
        "not a finite number at step 2 (batch 2 of epoch 1; rows " in line or "not finite numbers after step 1" in line
    )
    assert "no checkpoint was saved before" in line  # last.ckpt was, with numbers that led there


def test_the_last_good_checkpoint_is_named_and_good(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    message = failing(capsys, "fit", f"--ckpt_path={run}", "--trainer.max_epochs=3", "--model.learning_rate=1e30")
    assert "the last good checkpoint is" in message
    assert all(value.isfinite().all() for value in last_of(run)["state_dict"].values())


def test_room_is_made_by_leaving_out_the_checkpoint_before(
    fit: Any, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(root=small_disk)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 4096))
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=3"])
    assert "last.ckpt could not be written" not in capsys.readouterr().err
    assert last_of(run)["epoch"] == 2


def test_a_report_that_fails_costs_no_training(
    fit: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("no such color")

    with monkeypatch.context() as patch:
        patch.setattr(report_figures, "draw_figures", fail)
        run = fit()
    said = capsys.readouterr().err
    assert "missing      the report's figures: unexpected: ValueError: no such color" in said
    assert (run / "report.json").is_file()
    assert (run / "checkpoints" / "best.ckpt").is_file()


def test_a_logger_that_fails_costs_no_training(
    fit: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    events = []

    def fail(*_: Any) -> None:
        events.append(_)
        if len(events) > 3:  # the file has been begun
            raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(EventFileWriter, "add_event", fail)
        run = fit()
    assert "missing      TensorBoard's curves: " in capsys.readouterr().err
    assert (run / "report.json").is_file()
