import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emotion_lit.cli import main
from tests.conftest import SMALL

SPEED = (
    "samples_per_second",
    "tokens_per_second",
    "steps_per_second",
    "padding_share",
    "loading_share",
    "gflops_per_second",
    "peak_share",
    "memory_mb",
)


def test_it_says_how_long_the_run_will_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *SMALL, "--model.tuning=lora", f"--trainer.default_root_dir={tmp_path}"])
    said = capsys.readouterr().err
    assert re.search(r"about \d+ s: 2 epochs of \d+ s, and \d+ s for the test scores", said)
    assert said.index("about ") < said.index("epoch 1/2")


def test_speed_is_logged(drawn_run: Path) -> None:
    events = EventAccumulator(str(drawn_run)).Reload()
    values = {key: events.Scalars(f"speed/{key}")[-1].value for key in SPEED}
    assert values["tokens_per_second"] > values["samples_per_second"] > values["steps_per_second"] > 0
    assert values["memory_mb"] > 100
    assert 0 < values["peak_share"] < 1.5
