import csv
from pathlib import Path

import pytest

from emotion_lit import load
from emotion_lit.cli import main
from tests.conftest import ROOT, Train


def test_one_text_gives_label_score_and_all_probabilities(tiny_run: Path) -> None:
    prediction = load(tiny_run)("what a day!")
    assert prediction.label in prediction.probabilities
    assert prediction.score == max(prediction.probabilities.values())
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.labels == (prediction.label,)


def test_many_keep_their_order_and_an_empty_list_is_one(tiny_run: Path) -> None:
    model = load(tiny_run)
    texts = ["short", "a much longer text than the one before it, by far", "mid sized text"]
    together = model(texts)
    for text, prediction in zip(texts, together, strict=True):
        assert prediction.probabilities == pytest.approx(model(text).probabilities, abs=1e-5)
    assert model([]) == []


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
def test_predict_and_load_agree(train: Train, tuning: str, tmp_path: Path) -> None:
    run = train(f"--model.tuning={tuning}", "--model.learning_rate=1e-3")
    source, target = ROOT / "emotion_lit/data/sample/test.jsonl", tmp_path / "out.csv"
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}"])
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 560
    for row, prediction in zip(rows, load(run)([row["text"] for row in rows]), strict=True):
        written = {label: float(row[f"p_{label}"]) for label in prediction.probabilities}
        assert written == pytest.approx(prediction.probabilities, abs=1e-5)
        assert row["label"] == prediction.label


def test_a_base_model_that_is_not_needed_is_said(
    train: Train, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("--model.tuning=full", "--model.learning_rate=1e-3")
    capsys.readouterr()
    assert load(run, backbone=str(tiny_backbone))("fine").label
    assert capsys.readouterr().err == f"backbone {tiny_backbone} is not used: {run} contains the whole model\n"
