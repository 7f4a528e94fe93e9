"""Checkpoints that earlier versions wrote are read by each command as they were; see ``earlier/README.md``."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.checkpoint import KEY
from emotion_lit.model.checkpoint.keys import FORMAT

EARLIER = Path(__file__).parent / "earlier"
BACKBONE = EARLIER / "backbone"
FORMATS = {"format_1_full": 1, "format_1_lora": 1, "format_1_last_lora": 1, "format_2_lora": 2}


def expected(name: str) -> tuple[list[str], torch.Tensor]:
    """The texts and the probabilities that the version which wrote a checkpoint gave them."""
    with (EARLIER / name / "expected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    probabilities = [[float(value) for key, value in row.items() if key.startswith("p_")] for row in rows]
    return [row["text"] for row in rows], torch.tensor(probabilities)


def copied(name: str, folder: Path) -> Path:
    """A copy; what commands write next to it is not in the repository."""
    return Path(shutil.copy(EARLIER / name / "last.ckpt", folder))


def test_there_is_one_of_each_format() -> None:
    assert set(FORMATS.values()) == set(range(1, FORMAT + 1))


@pytest.mark.parametrize("name", FORMATS)
def test_it_predicts_what_it_predicted(name: str) -> None:
    file = EARLIER / name / "last.ckpt"
    assert torch.load(file, weights_only=True)[KEY]["format"] == FORMATS[name]
    texts, probabilities = expected(name)
    model = load(file, backbone=None if name.endswith("full") else str(BACKBONE))
    torch.testing.assert_close(torch.tensor(model.probabilities(texts)), probabilities, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "name",
    ["format_1_lora", *(pytest.param(name, marks=pytest.mark.slow) for name in FORMATS if name != "format_1_lora")],
)
def test_each_command_takes_it(name: str, tmp_path: Path, no_figures: None) -> None:
    texts, probabilities = expected(name)
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in texts))
    words = [f"--ckpt_path={copied(name, tmp_path)}", f"--model.backbone={BACKBONE}"]
    main(
        ["predict", *words, f"--data.predict_path={tmp_path / 'texts.txt'}", f"--prediction.path={tmp_path / 'o.csv'}"]
    )
    with (tmp_path / "o.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert [float(value) for key, value in first.items() if key.startswith("p_")] == pytest.approx(
        probabilities[0].tolist(), abs=2e-5
    )
    main(["test", *words, f"--evaluation.path={tmp_path / 'scores.json'}"])
    assert json.loads((tmp_path / "scores.json").read_text())["data"]["rows"] == {"test": 28}
    main(["fit", *words, f"--trainer.default_root_dir={tmp_path / 'logs'}", "--trainer.max_epochs=4"])
    run = tmp_path / "logs" / "emotion" / "version_0"
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last[KEY]["format"]) == (3, FORMAT)
    assert (run / "report.json").is_file()
