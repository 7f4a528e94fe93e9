"""Lightning's own settings: each works, or is refused in one line before the work."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from emotion_lit import load
from emotion_lit.cli import main
from tests.conftest import failing

SIZES = ["--data.dataset=sample", "--data.train_size=28", "--data.val_size=14", "--data.test_size=14"]
Fit = Callable[..., Path]


@pytest.fixture
def fit(tmp_path: Path, tiny_backbone: Path, no_figures: None) -> Fit:
    """Trains for two steps, and returns the folder of runs."""

    def run(*settings: str) -> Path:
        places = [f"--model.backbone={tiny_backbone}", f"--trainer.default_root_dir={tmp_path}", "--name=own"]
        main(["fit", *SIZES, "--data.batch_size=14", *places, "--trainer.max_epochs=1", *settings])
        return tmp_path / "own"

    return run


def objects(**settings: object) -> list[str]:
    return [f"--trainer.{key}={json.dumps(value)}" for key, value in settings.items()]


@pytest.mark.parametrize(
    "settings",
    [
        ["--trainer.enable_progress_bar=false"],
        ["--trainer.callbacks=RichProgressBar"],
        ["--trainer.callbacks=DeviceStatsMonitor"],
        ["--trainer.callbacks=Timer", "--trainer.callbacks.duration=00:00:01:00"],
        objects(callbacks={"class_path": "OnExceptionCheckpoint", "init_args": {"dirpath": "x"}}),
        objects(callbacks={"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {"0": 2}}}),
        ["--trainer.callbacks=BatchSizeFinder", "--trainer.callbacks.max_trials=1"],
        ["--trainer.fast_dev_run=true"],
        ["--trainer.detect_anomaly=true", "--trainer.deterministic=true"],
        ["--trainer.check_val_every_n_epoch=2", "--trainer.log_every_n_steps=0"],
        ["--trainer.limit_train_batches=0"],
        ["--trainer.overfit_batches=1"],
        ["--trainer.precision=64-true"],
        ["--trainer.precision=16-true"],
        ["--trainer.precision=bf16-mixed", "--trainer.gradient_clip_algorithm=value"],
        objects(plugins={"class_path": "MixedPrecision", "init_args": {"precision": "bf16-mixed", "device": "cpu"}}),
        ["--trainer.limit_val_batches=0", "--trainer.num_sanity_val_steps=1"],
    ],
    ids=lambda settings: settings[0][:60],
)
def test_it_works(fit: Fit, capsys: pytest.CaptureFixture[str], settings: list[str]) -> None:
    run = fit(*settings) / "version_0"
    assert "unexpected" not in capsys.readouterr().err
    assert (run / "report.json").exists() == ("--trainer.fast_dev_run=true" not in settings)


def test_half_precision_trains_what_predicts(fit: Fit) -> None:
    run = fit("--trainer.precision=bf16-true") / "version_0"
    (prediction,) = load(run)(["what a day!"])
    assert 0 < prediction.score < 1


def test_without_checkpoints(fit: Fit) -> None:
    run = fit("--trainer.enable_checkpointing=false") / "version_0"
    assert (run / "report.json").is_file()
    assert not list(run.rglob("*.ckpt"))


def test_loggers(fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("--trainer.logger=false") / "version_0"
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert (run / "report.html").is_file()
    assert (run / "config.yaml").is_file()
    assert not list(run.glob("events*"))
    assert "tensorboard" not in capsys.readouterr().err

    run = fit("--trainer.logger=true") / "version_1"
    assert list(run.glob("events*"))

    first = {"class_path": "CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    second = {"class_path": "TensorBoardLogger", "init_args": {"save_dir": str(tmp_path), "name": "second"}}
    fit(*objects(logger=[first, second]))
    assert (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").is_file()
    assert (tmp_path / "lightning_logs" / "version_0" / "report.json").is_file()
    assert list((tmp_path / "second").rglob("events*"))


def test_barebones_measures_the_trainer_alone(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    runs = fit("--trainer.barebones=true")
    assert "no checkpoint, no scores and no report" in capsys.readouterr().err
    assert not runs.exists()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (["--trainer.profiler=simple"], "Profiler Report"),
        (["--trainer.profiler=advanced"], "Profile stats for"),
        (["--trainer.callbacks=ModelSummary"], "Trainable params"),
        (["--early_stopping.verbose=true"], "val/macro_f1 improved"),
        (
            ["--early_stopping.patience=1", "--trainer.max_epochs=-1"],
            "training stops: Monitored metric val/macro_f1 did",
        ),
        (["--trainer.max_time=00:00:00:01", "--trainer.max_epochs=-1"], "training stops: trainer.max_time is reached"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_was_asked_for_is_shown(
    fit: Fit, capsys: pytest.CaptureFixture[str], settings: list[str], shown: str
) -> None:
    patient = [] if any("early_stopping" in one for one in settings) else ["--early_stopping.patience=1000"]
    run = fit(*settings, *patient) / "version_0"
    assert shown in capsys.readouterr().err
    assert shown in (run / "run.log").read_text()


def test_a_rate_of_zero_is_a_value(fit: Fit) -> None:
    run = fit("--model.tuning=full", "--model.learning_rate=0", "--model.weight_decay=0") / "version_0"
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    rates = {group["name"]: group["initial_lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]}
    assert rates["encoder"] == 0
    assert rates["head"] == 1e-3


def test_the_rate_that_is_found_is_used(fit: Fit) -> None:
    run = fit("--trainer.callbacks=LearningRateFinder", "--trainer.callbacks.num_training_steps=3") / "version_0"
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["learning_rate"] is None
    assert (run / "report.json").is_file()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("--trainer.accelerator=gpu", "trainer.accelerator is gpu, but PyTorch finds no such device"),
        ("--trainer.strategy=fsdp", "trainer.strategy is fsdp, which shards a model over CUDA GPUs"),
        ("--trainer.devices=0", "is not a valid input using cpu accelerator"),
        ("--trainer.num_nodes=2", "trainer.num_nodes is 2, but the address of the main machine is unknown"),
        ("--trainer.precision=transformer-engine", "Requirement 'transformer_engine"),
        ("--trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches is 0; it should be at least 1"),
        ("--trainer.gradient_clip_val=-1.5", "trainer.gradient_clip_val is -1.5; it should be at least 0"),
        ("--trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch is 0; it should be at least 1"),
        ("--trainer.val_check_interval=0", "trainer.limit_val_batches 0 turns validation off"),
        ("--trainer.min_epochs=3", "trainer.min_epochs is 3, and trainer.max_epochs is 1"),
        ("--trainer.max_epochs=-2", "`max_epochs` must be a non-negative integer or -1"),
        ("--trainer.max_time=1", "is not a valid duration"),
        ("--trainer.callbacks=BackboneFinetuning", "BackboneFinetuning freezes a module called backbone"),
        ("--trainer.callbacks=BaseFinetuning", "BaseFinetuning freezes a module called backbone"),
        ("--early_stopping.patience=-1", "early_stopping.patience is -1; it should be at least 0"),
        ("--last.every_minutes=-1", "last.every_minutes is -1.0; it should be at least 0"),
        ("--seed_everything=-1", "seed_everything is -1; it should be at least 0"),
        ("--data.seed=-1", "data.seed is -1; it should be at least 0"),
        ("--data.num_workers=-1", "data.num_workers is -1; it should be at least 0"),
        ("--model.learning_rate=-1", "model.learning_rate is -1.0; it should be at least 0"),
        ("--model.head_learning_rate=.nan", "model.head_learning_rate is nan; it should be at least 0"),
        ("--model.weight_decay=-1", "model.weight_decay is -1.0; it should be at least 0"),
        ("--model.lora.rank=0", "model.lora.rank is 0; it should be at least 1"),
        ("--model.lora.dropout=2", "model.lora.dropout is 2.0; it should be at least 0 and below 1"),
        ("--checkpoint.dirpath=/dev/null/x", "checkpoint.dirpath /dev/null/x cannot be written"),
        ("--name=", "name is empty"),
        ("--name=../own", "name is ../own, which is outside of the folder of runs"),
    ],
)
def test_it_is_refused_before_the_work(
    fit: Fit, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_backbone: Path, typed: str, line: str
) -> None:
    places = [f"--model.backbone={tiny_backbone}", f"--trainer.default_root_dir={tmp_path}"]
    assert line in failing(capsys, "fit", *SIZES, *places, "--trainer.max_epochs=1", typed)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_searches_that_find_nothing_to_change(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    for line, settings in (
        ("which has no effect with tuning head", ["--trainer.callbacks=LearningRateFinder", "--model.tuning=head"]),
        ("set an initial one", ["--trainer.callbacks=BatchSizeFinder", "--data.batch_size=null"]),
    ):
        with pytest.raises(SystemExit):
            fit(*settings)
        assert line in capsys.readouterr().err


def test_a_validation_that_would_never_come(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        fit("--trainer.val_check_interval=200")
    assert stopped.value.code == 2
    assert "`val_check_interval` (200) must be less than or equal to" in capsys.readouterr().err


def test_other_commands(fit: Fit, capsys: pytest.CaptureFixture[str], tmp_path: Path, texts_file: Path) -> None:
    run = fit() / "version_0"
    files = [f"--data.predict_path={texts_file}", f"--prediction.path={tmp_path / 'out.csv'}"]
    for more in ("--trainer.barebones=true", "--trainer.enable_checkpointing=false", "--trainer.precision=bf16-true"):
        main(["predict", f"--ckpt_path={run}", *files, "--prediction.overwrite=true", more])
        assert (tmp_path / "out.csv").is_file()
    main(["test", f"--ckpt_path={run}", "--trainer.barebones=true", "--trainer.profiler=null"])
    assert (run / "evaluation.json").is_file()
    capsys.readouterr()
    for command, key in (("predict", "limit_predict_batches"), ("test", "limit_test_batches")):
        line = failing(capsys, command, f"--ckpt_path={run}", *files, f"--trainer.{key}=0")
        assert f"trainer.{key} is 0, and nothing would be done" in line
