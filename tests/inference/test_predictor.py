import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.data.batching import Batch
from emotion_lit.utils import platforms
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


def test_a_gpu_gets_large_batches_which_are_halved_if_they_do_not_fit(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, texts = load(tiny_run), [f"{'so ' * (number % 9)}happy" for number in range(400)]
    expected, engine, sizes = model.probabilities(texts), model.engine, list[int]()

    class Small:
        """An engine on a GPU with memory for 900 tokens."""

        device = torch.device("cpu")

        def __call__(self, batch: Batch) -> Tensor:
            sizes.append(batch["input_ids"].numel())
            if sizes[-1] > 900:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return engine(batch)

    model.engine = Small()
    monkeypatch.setattr(platforms, "has_cost_per_shape", lambda _: True)
    capsys.readouterr()
    torch.testing.assert_close(model.probabilities(texts), expected, atol=1e-5, rtol=0)
    assert max(sizes) == sizes[0] > 2 * 1024
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"a batch of {sizes[0]:,} tokens does not fit in memory; going on with ")
    assert "--data" not in line
