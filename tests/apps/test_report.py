import json
import re
import shutil
from pathlib import Path

import pytest

from emotion_lit.cli import main
from tests.conftest import Train, failing


@pytest.fixture
def run(lora_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(lora_run, tmp_path / "logs" / "test" / "version_0")


def test_a_report_is_made_again_without_training(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (run / name).read_text() for name in ("report.json", "report.md", "report.html")}
    for name in ("report.md", "report.html"):
        (run / name).unlink()
    main(["report", str(run)])
    assert "macro-F1" in capsys.readouterr().out
    made, kept = json.loads((run / "report.json").read_text()), json.loads(before["report.json"])
    assert made["after"]["macro_f1"] == kept["after"]["macro_f1"]
    assert made["leakage"] == kept["leakage"]
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
    assert "on the same 42 texts" in page
    assert "| model.labels |" not in page
    assert (tmp_path / "both" / "comparison.html").is_file()
    main(["report", str(tmp_path / "logs"), "--output", str(tmp_path / "folder")])
    assert (tmp_path / "folder" / "comparison.md").read_text() == page


def test_runs_on_other_texts_do_not_compare(run: Path, train: Train, tmp_path: Path) -> None:
    other = train("--model.tuning=head", "--data.test_size=35", "--trainer.max_epochs=1")
    main(["report", str(run), str(other), "--output", str(tmp_path / "both")])
    assert "were not tested on the same texts" in (tmp_path / "both" / "comparison.md").read_text()


def test_what_is_missing_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no run folder" in failing(capsys, "report", str(tmp_path / "nowhere"))
    (run / "predictions.parquet").write_bytes(b"half")
    assert "predictions.parquet is damaged" in failing(capsys, "report", str(run))
    (run / "predictions.parquet").unlink()
    assert "fit --ckpt_path" in failing(capsys, "report", str(run))
    (run / "report.json").write_text('{"after": {')
    assert "report.json is not whole" in failing(capsys, "report", str(run))
    (run / "report.json").unlink()
    assert "has no report.json: the run has not ended" in failing(capsys, "report", str(run))
    assert "runs" in failing(capsys, "report")
