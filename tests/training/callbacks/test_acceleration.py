"""`fit` as on a GPU, with a CPU that records: the same checkpoints, scores and report as without."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.training.callbacks import acceleration
from emotion_lit.utils import platforms
from tests.conftest import SMALL
from tests.model.recorders import CpuRecorder

# Every batch has the same number of texts and tokens, except the last ones.
SETTINGS = ["--data.batch_size=7", "--trainer.max_epochs=2", "--report.baselines=false"]


def fit(folder: Path, *arguments: str) -> Path:
    main(["fit", *SMALL, *SETTINGS, f"--trainer.default_root_dir={folder}", "--name=test", *arguments])
    return folder / "test" / "version_0"


def weights(run: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
    return state


def report(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "report.json").read_text())
    return loaded


@pytest.fixture(autouse=True)
def _one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "padding_multiple", lambda _: 128)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration, "recorder_for", lambda _: CpuRecorder())


@pytest.mark.parametrize(
    ("tuning", "precision"),
    [
        (["--model.tuning=full", "--model.trainable_layers=1", "--model.cache_features=false"], "bf16-mixed"),
        pytest.param(["--model.tuning=lora", "--trainer.accumulate_grad_batches=3"], "32-true", marks=pytest.mark.slow),
    ],
)
def test_weights_and_scores_are_those_of_a_run_without(
    tuning: list[str], precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [*tuning, f"--trainer.precision={precision}"]
    plain = fit(tmp_path / "plain", *more)
    monkeypatch.setattr(acceleration, "recorder_for", lambda _: CpuRecorder())
    graphs = fit(tmp_path / "graphs", *more)
    for name in ("last.ckpt", "best.ckpt"):
        expected, found = weights(plain, name), weights(graphs, name)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert found[key].dtype == value.dtype
            assert torch.equal(found[key], value), key
    one, other = report(plain), report(graphs)
    assert one["after"] == other["after"]
    assert one["training"]["cuda_graphs"] is None
    counted = other["training"]["cuda_graphs"]
    assert counted["shapes"] == 1
    assert counted["replayed"] > 30
    assert f"CUDA graphs | {counted['replayed']} of" in (graphs / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("recorder")
def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    steady = ["--model.tuning=full", "--model.schedule=constant", "--model.warmup=0", "--data.train_size=70"]
    whole = fit(tmp_path / "whole", *steady)
    first = fit(tmp_path / "parts", *steady, "--trainer.max_epochs=1")
    main(["fit", f"--ckpt_path={first}", "--trainer.max_epochs=2"])
    assert report(first)["training"]["cuda_graphs"]["replayed"] > 0
    expected, found = weights(whole), weights(first)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.usefixtures("recorder")
def test_a_deterministic_run_has_none(tmp_path: Path) -> None:
    try:
        run = fit(tmp_path, "--model.tuning=full", "--trainer.deterministic=true", "--trainer.max_epochs=1")
    finally:
        torch.use_deterministic_algorithms(False)
    assert report(run)["training"]["cuda_graphs"] is None


@pytest.mark.usefixtures("recorder")
def test_an_interrupted_fit_restores_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
    from emotion_lit.training.module import EmotionClassifier

    models: list[EmotionClassifier] = []

    def fail(callback: Any, trainer: Any, model: EmotionClassifier, *_: Any) -> None:
        assert model.acceleration.graphs is not None
        assert any(weight.dtype == torch.bfloat16 for weight in model.parameters())
        models.append(model)
        raise KeyboardInterrupt

    monkeypatch.setattr(LastCheckpoint, "on_train_batch_end", fail)
    with pytest.raises(SystemExit):
        fit(tmp_path, "--model.tuning=lora", "--trainer.precision=bf16-mixed")
    (model,) = models
    assert model.acceleration.graphs is None
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
