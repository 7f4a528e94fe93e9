"""Sharded training, on CPUs: the same results as DDP, and checkpoints that load anywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.training.settings import trainer_setup
from emotion_lit.utils import distributed
from tests.conftest import ROOT, SMALL, failing

CPU = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--report.baselines=false"]
FSDP = [*CPU, "--trainer.strategy=fsdp"]
MODES = {
    "lora": ["--model.tuning=lora"],
    "full": ["--model.tuning=full", "--trainer.gradient_clip_algorithm=value"],
    "upper layers": ["--model.tuning=full", "--model.trainable_layers=1"],
    "head": ["--model.tuning=head"],
    "mean": ["--model.tuning=lora", "--model.pooling=mean", "--trainer.accumulate_grad_batches=2"],
}


@pytest.fixture
def _on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(trainer_setup, "check_strategy", lambda *_, **__: None)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        distributed._group.cache_clear()


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"])


def difference(run: Path, other: Path) -> float:
    one, two = weights(run), weights(other)
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


@pytest.mark.usefixtures("_on_cpu")
def test_one_process_trains_resumes_and_loads_anywhere(
    tmp_path: Path, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # Rates that do not depend on the number of steps, which differs before and after the run is resumed.
    lora = ["--model.tuning=lora", "--model.learning_rate=1e-3", "--model.schedule=constant", "--model.warmup=0", *CPU]
    plain = train(*lora)
    own = ["--name=own", f"--trainer.default_root_dir={tmp_path}"]
    main(["fit", *SMALL, *lora, *FSDP, *own, "--trainer.max_steps=3"])
    run = tmp_path / "own" / "version_0"
    assert all(type(weight) is torch.Tensor for weight in weights(run).values())
    assert all("lora" in name or "pooler" in name or "classifier" in name for name in weights(run))
    torch.distributed.destroy_process_group()
    distributed._group.cache_clear()
    main(["fit", *FSDP, f"--ckpt_path={run}", "--trainer.max_steps=-1", "--trainer.max_epochs=2"])
    assert difference(run, plain) < 1e-5
    texts = ["what a day!", "leave me alone"]
    found, expected = (load(one / "checkpoints" / "last.ckpt").probabilities(texts) for one in (run, plain))
    assert float(abs(found - expected).max()) < 1e-5


@pytest.mark.usefixtures("_on_cpu")
def test_weight_averaging_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, *FSDP, "--trainer.callbacks+=EMAWeightAveraging", f"--trainer.default_root_dir={tmp_path}"]
    assert "weight averaging cannot copy a model that trainer.strategy fsdp shards" in failing(capsys, "fit", *words)


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.parametrize("mode", MODES)
def test_two_processes_train_as_ddp_does(mode: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "EMOTION_LIT_PARENT"}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [*SMALL, *FSDP, *MODES[mode], f"--trainer.default_root_dir={tmp_path}", "--trainer.devices=2"]
    words.append("--trainer.precision=64-true")  # AdamW amplifies rounding errors where gradients are small
    for name, module, strategy in (("sharded", "tests.training.on_cpu", "fsdp"), ("whole", "emotion_lit", "ddp")):
        command = [sys.executable, "-m", module, "fit", *words, f"--name={name}", f"--trainer.strategy={strategy}"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "warning" not in done.stderr.lower().replace("warning: the", ""), done.stderr
    runs = [tmp_path / name / "version_0" for name in ("sharded", "whole")]
    assert difference(*runs) < 1e-11
    reports = [json.loads((run / "report.json").read_text()) for run in runs]
    for part in ("before", "after"):
        assert reports[0][part]["macro_f1"] == pytest.approx(reports[1][part]["macro_f1"], abs=1e-6)
        assert reports[0][part]["loss"] == pytest.approx(reports[1][part]["loss"], abs=1e-5)
