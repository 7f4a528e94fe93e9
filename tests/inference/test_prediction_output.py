"""Predictions are written without Lightning: a stream, a function of probabilities, and an output."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.data.packing import Packing
from emotion_lit.data.padding import Padding
from emotion_lit.data.streaming import TextStream
from emotion_lit.errors import UserError
from emotion_lit.inference.output_columns import TableBuilder
from emotion_lit.inference.prediction_output import PredictionOutput
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.decision import Decision

DECISION = Decision(("joy", "fear"), multi_label=False, temperature=1.0, thresholds=())
MADE_FROM = {"the checkpoint": "tiny"}


def stream_of(source: Path) -> TextStream:
    tokenizer = load_tokenizer("embedded")
    stream = TextStream([str(source)], "text", [], "id", tokenizer, 16, Packing(64, Padding.of(tokenizer)))
    stream.survey()
    return stream


def probabilities_of(batch: Batch) -> Tensor:
    """Joy where the row number is even."""
    joy = torch.tensor([float(row % 2 == 0) for row in batch["row"]])
    return torch.stack([joy, 1 - joy], dim=1)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 10)
    texts = [None if row % 9 == 8 else f"text {'long ' * (row % 7 * 5)}{row}" for row in range(35)]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def write(source: Path, target: Path, batches: int | None = None) -> None:
    """Writes all predictions, or fails after so many batches."""
    stream = stream_of(source)
    output = PredictionOutput(str(target), stream, TableBuilder(DECISION))
    output.open(MADE_FROM)
    for number, batch in enumerate(stream):
        if number == batches:
            output.stop(error := RuntimeError("the engine died"))
            raise error
        output.add(batch, probabilities_of(batch))
    output.finish()


def test_rows_come_in_the_order_of_the_input(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in found] == list(range(35))
    expected = ["" if row % 9 == 8 else ("joy", "fear")[row % 2] for row in range(35)]
    assert [row["label"] for row in found] == expected
    assert {row["note"] for row in found if row["id"] % 7 > 3 and row["label"]} == {
        "only its first 16 tokens were read"
    }


def test_after_an_error_the_next_call_goes_on(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(source, tmp_path / "whole.csv")
    with pytest.raises(RuntimeError):
        write(source, tmp_path / "out.csv", batches=8)
    assert not (tmp_path / "out.csv").exists()
    capsys.readouterr()
    write(source, tmp_path / "out.csv")
    assert "rows are labeled already; continuing after them" in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(UserError, match="already exists"):
        write(source, tmp_path / "out.csv")


def test_standard_output_gets_json_lines(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(source, Path("-"))
    captured = capsys.readouterr()
    assert [json.loads(line)["id"] for line in captured.out.splitlines()] == list(range(35))
    assert "3 rows have no label, and their note says why; the first is row 9" in captured.err
