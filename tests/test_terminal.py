"""What a person sees: every command at a terminal, whose screen is read back."""

from pathlib import Path

import pytest

from tests.conftest import SMALL
from tests.terminal import Session, emotion_lit

TINY = [*SMALL, "--data.train_size=70", "--data.val_size=21", "--data.test_size=21", "--trainer.max_epochs=1"]


def fit(folder: Path, *more: str, columns: int = 80, **env: str) -> Session:
    return emotion_lit(
        "fit", *TINY, "--name=test", f"--trainer.default_root_dir={folder}", *more, columns=columns, cwd=folder, **env
    )


def test_fit_shows_bars_that_move_and_leave_nothing_behind(tmp_path: Path) -> None:
    session = fit(tmp_path, "--model.tuning=full", "--data.tokens_per_batch=128")
    assert session.code == 0, session.text
    assert len({line for line in session.frames if line.startswith("epoch 1/1: ") and "texts/s" in line}) > 2
    assert not [line for line in session.screen if "texts/s" in line]
    assert "Traceback" not in session.raw
    assert "test after" in session.text


@pytest.mark.parametrize("bar", ["--trainer.enable_progress_bar=false", "--trainer.callbacks+=RichProgressBar"])
def test_bars_can_be_switched_off_and_replaced(tmp_path: Path, bar: str) -> None:
    session = fit(tmp_path, bar)
    assert session.code == 0, session.text
    assert "epoch 1/1: 70 texts in" in session.text
    assert "texts/s" not in session.raw or "Rich" in bar
