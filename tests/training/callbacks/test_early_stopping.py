"""What decides which checkpoint is the best, and when to stop."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from emotion_lit.cli import main
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint
from emotion_lit.training.callbacks.early_stopping import EarlyStopping
from tests.faults.kills import SMALL

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def watched(tiny_backbone: Path, tmp_path: Path) -> Any:
    """Trains a tiny model for an epoch; gives what its callbacks watch, and their names by class."""

    def run(*more: str) -> tuple[dict[str, str], Any]:
        words = [f"--model.backbone={tiny_backbone}", "--model.tuning=head", "--trainer.max_epochs=1"]
        cli = main(["fit", *SMALL, *words, f"--trainer.default_root_dir={tmp_path}", *more])
        assert cli is not None
        kinds = (BestCheckpoint, EarlyStopping)
        trainer: Any = cli.trainer
        return {type(one).__name__: str(one.monitor) for one in trainer.callbacks if isinstance(one, kinds)}, trainer

    return run


def test_several_labels_are_watched_by_average_precision(
    watched: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, trainer = watched("--data.multi_label=true", "--model.threshold=0.9")
    assert set(found.values()) == {"val/macro_average_precision"}
    assert trainer.callback_metrics["val/macro_f1"] == 0  # no probability comes that far
    assert trainer.callback_metrics["val/macro_average_precision"] > 0
    assert "macro average precision 0." in capsys.readouterr().err
    config = next(tmp_path.glob("emotion/*/config.yaml"))
    assert yaml.safe_load(config.read_text())["checkpoint"]["monitor"] is None


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ([], ["val/macro_f1", "val/macro_f1"]),
        (
            ["--data.multi_label=true", "--checkpoint.monitor=val/macro_f1", "--early_stopping.monitor=val/micro_f1"],
            ["val/macro_f1", "val/micro_f1"],
        ),
    ],
)
def test_one_label_and_what_is_typed(watched: Any, typed: list[str], wanted: list[str]) -> None:
    found, _ = watched(*typed)
    assert [found["BestCheckpoint"], found["EarlyStopping"]] == wanted
