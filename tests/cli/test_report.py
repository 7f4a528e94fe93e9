import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion_lit.cli import main
from emotion_lit.evaluation.prediction_table import AFTER, PredictionTable
from emotion_lit.reporting.run_report import PREDICTIONS_FILE
from tests.conftest import Train, failing


@pytest.fixture
def run(drawn_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(drawn_run, tmp_path / "logs" / "test" / "version_0")


def test_a_report_is_made_again_without_training(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (run / name).read_text() for name in ("report.json", "report.md", "report.html")}
    for name in ("report.md", "report.html"):
        (run / name).unlink()
    main(["report", str(run)])
    assert "macro-F1" in capsys.readouterr().out
    made, kept = json.loads((run / "report.json").read_text()), json.loads(before["report.json"])
    assert made["after"]["macro_f1"] == kept["after"]["macro_f1"]
    assert made["contamination"] == kept["contamination"] == made["leakage"]
    assert (run / "report.md").read_text() == before["report.md"]
    assert words((run / "report.html").read_text()) == words(before["report.html"])


def words(page: str) -> str:
    """Without its figures, whose letters move by hundredths of a point when they were also drawn for TensorBoard."""
    return re.sub(r"base64,[\w+/=]+", "", page)


def test_a_run_without_events_has_a_report(run: Path) -> None:
    for events in run.glob("events.*"):
        events.unlink()
    main(["report", str(run)])
    assert (run / "report.html").is_file()


def test_runs_are_compared(run: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = train("--model.tuning=head")
    shutil.copytree(head, run.parent / "version_1")
    main(["report", str(run), str(run.parent / "version_1"), "--output", str(tmp_path / "both")])
    lines = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[1]) for line in lines if line.startswith("test/version")]
    assert scores == sorted(scores, reverse=True)
    page = (tmp_path / "both" / "comparison.md").read_text()
    assert "| model.tuning |" in page
    assert "2 runs on 42 test texts of sample, 7 classes, single-label" in page
    assert "| model.labels |" not in page
    assert (tmp_path / "both" / "comparison.html").is_file()
    main(["report", str(tmp_path / "logs"), "--output", str(tmp_path / "folder")])
    assert (tmp_path / "folder" / "comparison.md").read_text() == page


def test_runs_on_other_texts_do_not_compare(run: Path, train: Train, tmp_path: Path) -> None:
    other = train("--model.tuning=head", "--data.test_size=35", "--trainer.max_epochs=1")
    main(["report", str(run), str(other), "--output", str(tmp_path / "both")])
    assert "their scores do not compare" in (tmp_path / "both" / "comparison.md").read_text()


def test_what_is_missing_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no run folder" in failing(capsys, "report", str(tmp_path / "nowhere"))
    (run / "predictions.parquet").write_bytes(b"half")
    assert "predictions.parquet is damaged" in failing(capsys, "report", str(run))
    (run / "predictions.parquet").unlink()
    assert "fit --ckpt_path" in failing(capsys, "report", str(run))
    (run / "report.json").write_text('{"after": {')
    assert "report.json is incomplete" in failing(capsys, "report", str(run))
    (run / "report.json").unlink()
    assert "the run has not ended, or this is not a run folder; resume with: " in failing(capsys, "report", str(run))
    assert "runs" in failing(capsys, "report")


def test_a_run_that_failed_at_its_start_says_how_to_begin_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "report.json").unlink()
    for words in (["report", str(run)], ["export", f"--ckpt_path={run}", f"--output={run / 'out'}"]):
        line = failing(capsys, *words)
        assert (
            "it ended before its first checkpoint, so start it again with: python -m emotion_lit fit --config" in line
        )


def with_predictions(run: Path, name: str, change: Callable[[PredictionTable], PredictionTable]) -> Path:
    """A copy of a run whose test rows or predictions are others."""
    copy = shutil.copytree(run, run.parent / name)
    change(PredictionTable.read(copy / PREDICTIONS_FILE)).save(copy / PREDICTIONS_FILE)
    return copy


def test_only_runs_on_the_same_rows_labels_and_metric_are_ranked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def permuted(one: PredictionTable) -> PredictionTable:
        """The same with the classes in another order."""
        order = list(range(len(one.labels)))[::-1]
        return replace(
            one,
            labels=[one.labels[place] for place in order],
            thresholds=[one.thresholds[place] for place in order],
            first=len(order) - 1 - one.first,
            targets=one.targets[:, order],
            probabilities={name: values[:, order] for name, values in one.probabilities.items()},
        )

    with_predictions(run, "version_1", permuted)
    with_predictions(run, "version_2", lambda one: replace(one, multi_label=True))
    with_predictions(run, "version_3", lambda one: replace(one, first=np.roll(one.first, 1)))
    with_predictions(run, "version_4", lambda one: replace(one, texts=[f"{text}!" for text in one.texts]))
    main(["report", str(run.parent.parent)])
    said = capsys.readouterr()
    assert "2 runs on 42 test texts of sample, 7 classes, single-label" in said.out
    assert said.out.count("1 run on 42 test texts of sample") == 3
    assert "1 run on 42 test texts of sample, 7 classes, multi-label" in said.out
    page = (run.parent / "comparison" / "comparison.md").read_text()  # next to the runs
    assert page.count("| no |") == 1
    assert "| yes |" not in page
    assert "their scores do not compare" in page


def test_each_pair_is_compared_and_corrected(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = PredictionTable.read(run / PREDICTIONS_FILE).targets

    def right(share: float) -> Callable[[PredictionTable], PredictionTable]:
        wrong = np.roll(truth, 1, axis=1)
        which = (np.arange(len(truth)) < share * len(truth))[:, None]
        return lambda one: replace(one, probabilities={**one.probabilities, AFTER: np.where(which, truth, wrong)})

    folders = [with_predictions(run, f"version_{number}", right(share)) for number, share in ((1, 1), (2, 0.9), (3, 0))]
    main(["report", *map(str, folders)])
    capsys.readouterr()
    page = (run.parent / "comparison" / "comparison.md").read_text()
    pairs = {
        tuple(re.findall(r"version_\d", line)): line
        for line in page.splitlines()
        if line.endswith(("| yes |", "| no |"))
    }
    assert {pair: "| yes |" in line for pair, line in pairs.items()}[("version_1", "version_3")]
    assert len(pairs) == 3
    assert "corrected for 3 comparisons (Holm)" in page
