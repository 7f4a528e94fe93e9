import csv
from pathlib import Path

import pytest

from emotion_lit.cli import main
from tests.conftest import ROOT, failing

SAMPLE = ROOT / "emotion_lit/data/sample/train.jsonl"


def predict(run: Path, target: Path, *more: str) -> list[dict[str, str]]:
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={SAMPLE}", f"--prediction.path={target}", *more])
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


def test_onnx_says_what_torch_says(lora_run: Path, tmp_path: Path) -> None:
    ours = predict(lora_run, tmp_path / "torch.csv")
    others = predict(lora_run, tmp_path / "onnx.csv", "--prediction.engine=onnx")
    assert [row["label"] for row in ours] == [row["label"] for row in others]
    for one, two in zip(ours, others, strict=True):
        assert float(one["p_Joy"]) == pytest.approx(float(two["p_Joy"]), abs=1e-5)
    made = list((lora_run / "checkpoints" / "best.onnx").iterdir())
    before = made[0].stat().st_mtime_ns
    predict(lora_run, tmp_path / "again.csv", "--prediction.engine=onnx")
    assert made[0].stat().st_mtime_ns == before


def test_int8_is_used_only_where_it_agrees(
    lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = ("--prediction.engine=onnx", "--prediction.quantize=int8")
    exact = predict(lora_run, tmp_path / "onnx.csv", "--prediction.engine=onnx")
    monkeypatch.setattr("emotion_lit.inference.choice.SAME_LABELS", 1.01)
    refused = predict(lora_run, tmp_path / "refused.csv", *int8)
    assert "not used, 101%" in capsys.readouterr().err
    assert refused == exact
    monkeypatch.setattr("emotion_lit.inference.choice.SAME_LABELS", 0.5)
    monkeypatch.setattr("emotion_lit.inference.choice.MEAN_DIFFERENCE", 1.0)
    used = predict(lora_run, tmp_path / "used.csv", *int8)
    assert "engine: onnx int8" in capsys.readouterr().err
    assert used != exact


def test_auto_measures_and_loses_no_row(lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = predict(lora_run, tmp_path / "auto.csv", "--prediction.engine=auto")
    assert [row["id"] for row in rows] == [str(row) for row in range(len(SAMPLE.read_text().splitlines()))]
    assert "engine: " in capsys.readouterr().err


def test_int8_needs_onnx(lora_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("predict", f"--ckpt_path={lora_run}", f"--data.predict_path={SAMPLE}", "--prediction.quantize=int8")
    assert "needs --prediction.engine onnx" in failing(capsys, *words)


def test_auto_has_nothing_to_try_on_an_input_without_texts(lora_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": null}\n' * 1200)
    words = (f"--data.predict_path={tmp_path / 'in.jsonl'}", f"--prediction.path={tmp_path / 'out.csv'}")
    main(["predict", f"--ckpt_path={lora_run}", *words, "--prediction.engine=auto"])
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1201
