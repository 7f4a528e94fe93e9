"""Reports of earlier versions are read, and programs that read reports find the keys of earlier versions."""

import json
import shutil
from pathlib import Path

from emotion_lit.cli import main
from emotion_lit.reporting.report_keys import EARLIER
from emotion_lit.reporting.run_report import read_report


def test_earlier_keys_are_written(drawn_run: Path) -> None:
    written = json.loads((drawn_run / "report.json").read_text())
    for present, earlier in EARLIER.items():
        assert written[earlier] == written[present]
    for one in written["calibration"]["reliability"]:
        assert (one["stated"], one["true"]) == (one["confidence"], one["accuracy"])
    assert not set(EARLIER.values()) & set(read_report(drawn_run))


def test_a_report_of_an_earlier_version_is_made_again(drawn_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(drawn_run, tmp_path / "version_0")
    whole = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps({key: value for key, value in whole.items() if key not in EARLIER}))
    main(["report", str(run)])
    made = json.loads((run / "report.json").read_text())
    assert made.keys() == whole.keys()
    assert made["after"]["macro_f1"] == whole["after"]["macro_f1"]
    for cost in ("seconds", "parameters"):  # which no prediction tells
        assert [model[cost] for model in made["ladder"]] == [model[cost] for model in whole["ladder"]]
