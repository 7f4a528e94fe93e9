import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emotion_lit.cli import main
from tests.conftest import SMALL, Train


def report_of(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "report.json").read_text())
    return loaded


def test_the_run_folder_holds_what_is_promised(drawn_run: Path) -> None:
    names = {path.relative_to(drawn_run).as_posix() for path in drawn_run.rglob("*")}
    assert {"config.yaml", "report.json", "report.md", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    assert any("tfevents" in name for name in names)


def test_the_report_has_the_keys_of_the_contract(drawn_run: Path) -> None:
    report = report_of(drawn_run)
    for moment in (report["before"], report["after"], report["after"]["validation"]):
        assert {"accuracy", "macro_f1", "loss", "ece", "per_class", "per_source"} <= set(moment)
        assert set(moment["per_class"]["Joy"]) == {"precision", "recall", "f1", "support"}
    training = report["training"]
    assert training["epochs"] == 2
    assert training["checkpoint_bytes"] == (drawn_run / "checkpoints" / "best.ckpt").stat().st_size
    assert 0 < training["trainable_parameters"] < training["total_parameters"]
    for key in ("wall_seconds", "samples_per_second", "tokens_per_second", "steps_per_second", "peak_memory_mb"):
        assert training[key] > 0, key
    assert 0 <= training["padding_share"] < 0.3
    assert 0 < training["loading_share"] < 0.9
    assert 0 < training["peak_share"] < 1.5
    assert training["gflops_per_second"] < 1.5 * training["matrix_peak_gflops"]
    assert report["data"]["rows"] == {"train": 140, "validation": 42, "test": 42}
    assert report["data"]["rows_per_class"]["train"]["Joy"] == 20
    assert report["data"]["duplicates_removed"] == {"held_out": 0, "repeated": 0, "validation": 0}
    assert report["environment"]["torch"]


def test_before_is_the_untrained_head_and_after_the_best_checkpoint(
    drawn_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = report_of(drawn_run)
    assert report["before"]["loss"] == pytest.approx(1.9459, abs=0.05)  # an untrained head: log 7
    assert report["after"]["loss"] < report["before"]["loss"]
    capsys.readouterr()
    main(["test", f"--ckpt_path={drawn_run}"])
    printed = capsys.readouterr().out
    assert f"{report['after']['accuracy']:.4f}" in printed
    assert f"{report['after']['macro_f1']:.4f}" in printed


def test_the_page_shows_both_side_by_side(drawn_run: Path) -> None:
    report, page = report_of(drawn_run), (drawn_run / "report.md").read_text()
    assert f"| macro-F1 | {report['before']['macro_f1']:.4f} | {report['after']['macro_f1']:.4f} |" in page
    for part in ("Scores by class", "Scores by source", "Training", "Environment", "| Joy |", "| tweet |", "TF-IDF"):
        assert part in page


def test_tensorboard_finds_the_scalars(drawn_run: Path) -> None:
    events = EventAccumulator(str(drawn_run))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {
        "train/loss_step",
        "train/macro_f1",
        "val/loss",
        "val/accuracy",
        "val/macro_f1",
        "speed/samples_per_second",
    }
    assert wanted <= tags
    assert len(events.Scalars("val/macro_f1")) == 2


def test_what_is_printed_ends_with_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *SMALL, "--model.tuning=head", "--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}"])
    captured = capsys.readouterr()
    assert "140" in captured.err
    assert "parameters are trainable" in captured.err
    assert "test before" in captured.out
    run = tmp_path / "emotion" / "version_0"
    assert f"predict --ckpt_path {run / 'checkpoints' / 'best.ckpt'}" in captured.err
    assert "Warning" not in captured.err + captured.out


def test_several_labels_a_text_have_their_own_scores(train: Train) -> None:
    report = report_of(train("--model.tuning=head", "--data.multi_label=true", "--model.threshold=0.2"))
    assert 0 <= report["after"]["micro_f1"] <= 1
    assert "accuracy_any" not in report["after"]


def test_the_baselines_may_be_left_out(train: Train) -> None:
    run = train("--model.tuning=head", "--trainer.max_epochs=1", "--report.baselines=false")
    report = report_of(run)
    assert [model["name"] for model in report["baselines"]] == ["majority", "before", "after"]
    assert report["gain_over_tfidf"] is None
    assert report["contamination"] is None
    main(["report", str(run)])
    assert "(report.baselines: false)" in (run / "report.md").read_text()
    assert report_of(run)["contamination"] is None
