import json
from pathlib import Path

import numpy as np
import pytest

from emotion_lit import EmotionDataModule
from emotion_lit.errors import UserError


def stream(path: Path, **settings: object) -> EmotionDataModule:
    data = EmotionDataModule(backbone="embedded", predict_path=str(path), **settings)  # type: ignore[arg-type]
    data.setup("predict")
    return data


def test_all_rows_come_once_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 10)
    (tmp_path / "a.txt").write_text("".join(f"text {'long ' * (place % 7)}{place}\n" for place in range(45)))
    data = stream(tmp_path / "a.txt", tokens_per_batch=10)
    assert data.predict_rows == 45
    batches = list(data.predict_dataloader())
    assert sorted(row for batch in batches for row in batch["row"]) == list(range(45))
    assert all(max(batch["row"]) // 10 == min(batch["row"]) // 10 for batch in batches)
    assert all(batch["input_ids"].numel() <= 40 for batch in batches)


def test_ids_and_missing_texts(tmp_path: Path) -> None:
    rows = [{"id": "x", "text": "fine"}, {"id": "y", "text": None}, {"text": 3}, {"text": "  "}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labeled, missing = stream(tmp_path / "a.jsonl").predict_dataloader()
    assert isinstance(labeled["places"], np.ndarray)
    assert (labeled["places"].tolist(), labeled["row"].tolist()) == ([0], [0])
    assert missing["row"].tolist() == [1, 2, 3]
    assert labeled["notes"].tolist() == [None]
    assert missing["notes"].tolist() == ["no text: null, empty or not a string"] * 3
    assert "input_ids" not in missing


def test_a_bad_row_is_found_before_the_work_starts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"txt": "odd"}\n')
    with pytest.raises(UserError, match=r"a.jsonl: column 'text' is not known; did you mean 'txt'"):
        stream(tmp_path / "a.jsonl")
