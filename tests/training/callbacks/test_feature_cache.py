from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from emotion_lit.cli import main
from tests.conftest import SMALL

HEAD = ["--model.tuning=head", "--model.dropout=0.2", "--trainer.precision=32-true"]
UPPER = ["--model.backbone=embedded", "--model.trainable_layers=2"]


def head_weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def fit(folder: Path, *more: str) -> dict[str, torch.Tensor]:
    settings = [f"--trainer.default_root_dir={folder}", f"--data.cache_dir={folder.parent / 'cache'}"]
    main(["fit", *SMALL, *HEAD, *settings, *more])
    return head_weights(folder / "emotion" / "version_0")


@pytest.mark.parametrize(("precision", "rounding"), [("32-true", 1e-4), ("64-true", 1e-9), ("bf16-true", 0.05)])
def test_training_on_kept_outputs_is_training_on_texts(
    precision: str, rounding: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_cache = fit(tmp_path / "a", f"--trainer.precision={precision}")
    assert capsys.readouterr().err.count("encoded once") == 3
    without = fit(tmp_path / "b", f"--trainer.precision={precision}", "--model.cache_features=false")
    assert "encoded once" not in capsys.readouterr().err
    for name, value in without.items():
        torch.testing.assert_close(with_cache[name], value, atol=rounding, rtol=10 * rounding)


def test_a_second_run_does_not_encode_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = fit(tmp_path / "a")
    capsys.readouterr()
    second = fit(tmp_path / "b")
    assert "encoded once" not in capsys.readouterr().err
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("tuning", "precision"),
    [("lora", "32-true"), ("lora", "64-true"), pytest.param("full", "32-true", marks=pytest.mark.slow)],
)
def test_training_on_kept_states_is_training_on_texts(
    tuning: str, precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upper = [f"--model.tuning={tuning}", f"--trainer.precision={precision}", *UPPER]
    with_states = fit(tmp_path / "a", *upper)
    assert "the lower 4 of 6 layers run once per text; their outputs take" in capsys.readouterr().err
    assert not list((tmp_path / "cache" / "features").iterdir())
    without = fit(tmp_path / "b", *upper, "--model.cache_features=false")
    assert "run once per text" not in capsys.readouterr().err
    for name, value in without.items():
        torch.testing.assert_close(with_states[name], value, atol=1e-4, rtol=1e-3)


def test_no_room_for_states_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    fit(tmp_path / "a", "--model.tuning=lora", *UPPER)
    assert "run in every epoch: their outputs take" in capsys.readouterr().err
