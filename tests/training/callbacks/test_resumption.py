"""What a person changes between a run's stop and its resumption."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from emotion_lit.cli import main
from tests.conftest import failing
from tests.faults.kills import SMALL, compare_runs


@pytest.fixture
def fit(tiny_backbone: Path, tmp_path: Path) -> Any:
    """Trains a tiny model for an epoch, and gives the run folder."""

    def run(*more: str) -> Path:
        words = ["--trainer.max_epochs=1", f"--model.backbone={tiny_backbone}", "--model.tuning=full"]
        main(["fit", *SMALL, *words, f"--trainer.default_root_dir={tmp_path / 'logs'}", *more])
        return max((tmp_path / "logs").glob("*/version_*"), key=lambda folder: folder.stat().st_mtime)

    return run


def last_of(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return loaded


def content(run: Path) -> dict[str, bytes]:
    return {str(file.relative_to(run)): file.read_bytes() for file in run.rglob("*") if file.is_file()}


def test_null_and_what_was_measured_are_remembered(fit: Any) -> None:
    run = fit("--trainer.gradient_clip_val=null", "--report.baselines=false")
    kept = last_of(run)["trainer_parameters"]["trainer"]
    assert kept["gradient_clip_val"] is None
    assert kept["precision"] in ("32-true", "bf16-mixed")
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2"])
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["gradient_clip_val"] is None
    assert config["trainer"]["precision"] == kept["precision"]
    assert last_of(run)["epoch"] == 1
    models = {one["name"] for one in json.loads((run / "report.json").read_text())["baselines"]}
    assert models == {"majority", "before", "after"}  # no TF-IDF, as before


@pytest.mark.parametrize("changed", ["--name=second", "--trainer.default_root_dir={}/other"])
def test_another_name_or_root_is_another_run_that_begins_there(
    fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: str
) -> None:
    run = fit()
    before = content(run)
    words = ["fit", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}", "--trainer.max_epochs=2"]
    main([*words, changed.format(tmp_path)])
    assert "starts from" in capsys.readouterr().err
    assert content(run) == before
    (other,) = [folder for folder in tmp_path.glob("*/*/version_0") if folder != run]
    assert last_of(other)["epoch"] == 1
    assert (other / "report.json").is_file()
    # It is the run that it would have been in its own folder.
    main([*words])
    compare_runs(run, other)


def test_the_configuration_of_a_resumed_run_begins_an_equal_one(fit: Any, tmp_path: Path) -> None:
    run = fit()
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2"])
    before = content(run)
    main(["fit", f"--config={run / 'config.yaml'}", "--name=anew"])
    assert content(run) == before
    anew = tmp_path / "logs" / "anew" / "version_0"
    assert last_of(anew)["epoch"] == 1
    report = json.loads((anew / "report.json").read_text())
    assert report["before"]["per_class"]


def test_complete_runs_say_so(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("--trainer.max_time=00:01:00:00")
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}"])
    assert "all 1 epochs are already trained; for more, give a larger --trainer.max_epochs" in capsys.readouterr().err
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2", "--trainer.max_time=00:00:00:01"])
    said = capsys.readouterr().err
    assert "trainer.max_time is used up" in said or "epoch 2/2" in said


def test_patience_that_is_typed_counts(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stopping = ["--early_stopping.patience=1", "--early_stopping.min_delta=1", "--trainer.max_epochs=5"]
    run = fit(*stopping)
    assert last_of(run)["epoch"] == 1  # the second validation was no better
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}"])
    assert "early stopping has already ended the training" in capsys.readouterr().err
    assert last_of(run)["epoch"] == 1
    main(["fit", f"--ckpt_path={run}", "--early_stopping.patience=2"])
    assert last_of(run)["epoch"] == 2


def test_steps_that_were_cut_off_are_made_up_for(fit: Any) -> None:
    run = fit("--trainer.max_steps=4")
    kept = last_of(run)["loops"]["fit_loop"]["epoch_progress"]["current"]
    assert kept["processed"] == 0
    main(["fit", f"--ckpt_path={run}", "--trainer.max_steps=-1"])
    report = json.loads((run / "report.json").read_text())
    assert report["training"]["epochs"] == 1
    assert report["training"]["steps"] == 9  # all batches of the epoch


@pytest.mark.parametrize("change", ["--data.tokens_per_batch=256", "--data.train_size=100", "--data.seed=1"])
def test_other_data_begin_the_epoch_anew(fit: Any, capsys: pytest.CaptureFixture[str], change: str) -> None:
    run = fit("--trainer.max_steps=4")
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}", "--trainer.max_steps=-1", change])
    said = capsys.readouterr().err
    assert "the epoch starts over, with all rows" in said
    rows = 100 if "train_size" in change else 140
    assert f"epoch 1/1: {rows} texts" in said


def test_other_rows_for_the_scores_begin_them_anew(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2", "--data.val_size=35", "--data.test_size=28"])
    said = capsys.readouterr().err
    assert "the best score is reset" in said
    assert "the score before fine-tuning is discarded" in said
    assert "before" not in json.loads((run / "report.json").read_text())


def test_another_metric_for_the_best(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2", "--checkpoint.monitor=val/accuracy"])
    assert "BestCheckpoint monitors val/accuracy from now on, and starts over" in capsys.readouterr().err


def test_a_last_checkpoint_that_was_carried_goes_on_in_a_run_of_its_own(
    fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    main(["fit", "--ckpt_path=last.ckpt", "--trainer.max_epochs=2"])
    assert "best.ckpt is missing; it will be replaced by the best checkpoint from here on" in capsys.readouterr().err
    assert (tmp_path / "elsewhere" / "logs" / "emotion" / "version_0" / "report.json").is_file()


def test_the_model_alone_cannot_go_on(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    assert "resume from last.ckpt" in failing(capsys, "fit", f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}")


def test_a_trained_model_is_not_measured_as_the_one_before(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As where a Trainer without our callbacks has made the checkpoint."""
    run = fit()
    kept = last_of(run)
    del kept["callbacks"]["Baseline"]
    torch.save(kept, run / "checkpoints" / "last.ckpt")
    capsys.readouterr()
    main(["fit", f"--ckpt_path={run}", "--trainer.max_epochs=2"])
    assert "before" not in json.loads((run / "report.json").read_text())
    assert "the scores before fine-tuning are not known" in capsys.readouterr().err
