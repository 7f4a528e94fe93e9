"""No value of a tensor is read in a training step, because reading one waits for the GPU."""

from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.profiler import ProfilerActivity, profile

from emotion_lit.cli import main
from emotion_lit.training.callbacks.throughput import Throughput
from tests.conftest import SMALL

READS = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::nonzero", "aten::equal")
FIRST, STEPS = 2, 6


class Profiled(Throughput):
    """Profiles some steps with all that happens between them."""

    reads: ClassVar[list[str]] = []
    profiler: Any = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, place: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, place)
        if place == FIRST:
            Profiled.profiler = profile(activities=[ProfilerActivity.CPU])
            Profiled.profiler.__enter__()
        if place == FIRST + STEPS:
            Profiled.profiler.__exit__(None, None, None)
            events = Profiled.profiler.events()
            assert sum(event.name == "aten::linear" for event in events) >= STEPS
            Profiled.reads = [event.name for event in events if event.name in READS and not in_optimizer(event)]


def in_optimizer(event: Any) -> bool:
    """Whether this is in the fused AdamW of CPUs, which reads the number of the step; that of CUDA does not."""
    return event.name == "aten::_fused_adamw_" or bool(event.cpu_parent and in_optimizer(event.cpu_parent))


@pytest.mark.parametrize(
    "settings",
    [
        ["--model.tuning=lora"],
        pytest.param(["--model.tuning=full"], marks=pytest.mark.slow),
        ["--model.tuning=head", "--data.multi_label=true"],
        pytest.param(
            ["--model.tuning=full", "--model.trainable_layers=1", "--trainer.accumulate_grad_batches=2"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_steps_read_nothing(settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.training.callbacks.fitting.Throughput", Profiled)
    monkeypatch.setattr(Profiled, "reads", ["not measured"])
    monkeypatch.setattr("emotion_lit.training.callbacks.finite.READ_AT_ONCE", ())
    for clock in ("flag_sync.SECONDS", "step_log.SECONDS", "progress.LOSS_SECONDS"):  # a busy machine is slow
        monkeypatch.setattr(f"emotion_lit.training.callbacks.{clock}", 3600.0)
    few = ["--data.batch_size=10", "--trainer.max_epochs=1", "--report.baselines=false"]
    main(
        [
            *("fit", *SMALL, *few, f"--trainer.default_root_dir={tmp_path}", "--name=test"),
            *("--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=true", *settings),
        ]
    )
    assert Profiled.reads == []
    events = EventAccumulator(str(tmp_path / "test" / "version_0")).Reload()
    steps = 7 if "--trainer.accumulate_grad_batches=2" in settings else 14
    for tag in ("train/loss_step", "train/gradient_norm"):
        assert [event.step for event in events.Scalars(tag)] == list(range(steps))
