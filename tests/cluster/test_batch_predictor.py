"""Columns in, columns out: the same labels as `predict`, in the kind of batch that each framework has."""

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emotion_lit import BatchPredictor, load
from emotion_lit.cli import main
from emotion_lit.cluster import batch_predictor
from emotion_lit.errors import UserError

TEXTS = ["what a day!", "", None, "I can't stop worrying " * 60, "half of a smile", "  ", "she said yes"]


@pytest.fixture
def predict(tiny_run: Path) -> BatchPredictor:
    return BatchPredictor(tiny_run)


def test_the_columns_are_those_that_predict_writes(tiny_run: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    settings = {"top_k": 2, "threshold": 0.3}
    words = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={source}", f"--prediction.path={target}"]
    main([*words, *(f"--prediction.{key}={value}" for key, value in settings.items())])
    expected = [json.loads(line) for line in target.read_text().splitlines()]
    predict = BatchPredictor(tiny_run, top_k=2, threshold=0.3)
    found = predict(pa.table({"text": pa.array(TEXTS)})).to_pylist()
    assert list(found[0]) == ["text", *predict.columns]
    assert list(expected[0]) == ["id", "text", *predict.columns]
    for row, wanted in zip(found, expected, strict=True):
        assert {name: row[name] for name in predict.columns} == {name: wanted[name] for name in predict.columns}


@pytest.mark.parametrize("kind", ["numpy", "lists", "arrow columns", "table", "record batch", "pandas"])
def test_a_batch_keeps_its_kind(predict: BatchPredictor, kind: str) -> None:
    columns: dict[str, Any] = {"text": TEXTS, "number": list(range(len(TEXTS)))}
    as_arrow = {
        "text": pa.array(TEXTS),
        "number": pa.array(range(7)),
    }
    batch: Any = {
        "numpy": {name: np.array(values, dtype=object) for name, values in columns.items()},
        "lists": columns,
        "arrow columns": as_arrow,
        "table": pa.table(as_arrow),
        "record batch": pa.record_batch(as_arrow),
        "pandas": pd.DataFrame(columns, index=range(10, 17)),
    }[kind]
    labeled = predict(batch)
    if kind in ("table", "record batch"):
        assert isinstance(labeled, pa.Table)
        found = labeled.to_pydict()
    elif kind == "pandas":
        assert labeled.index.tolist() == list(range(10, 17))
        found = labeled.to_dict("list")
    else:
        assert {type(values) for values in labeled.values()} == {np.ndarray}
        found = {name: values.tolist() for name, values in labeled.items()}
    assert found["number"] == list(range(7))
    assert [bool(label) for label in found["label"]] == [True, False, False, True, True, False, True]
    assert pd.isna(found["note"][0])
    assert found["note"][2] == "no text: null, empty or not a string"
    assert "tokens were read" in found["note"][3]
    assert list(found) == ["text", "number", *predict.columns]


def test_values_that_are_not_texts(predict: BatchPredictor) -> None:
    """Half of a pair of surrogates, which JSON can have, and Arrow cannot; numbers have no label."""
    labeled = predict({"text": ["half \ud83d of a smile", 3, float("nan")]})
    assert labeled["note"].tolist() == ["half a character was replaced", *["no text: null, empty or not a string"] * 2]
    assert np.isnan(labeled["score"]).tolist() == [False, True, True]


def test_no_rows(predict: BatchPredictor) -> None:
    labeled = predict(pd.DataFrame({"text": []}))
    assert list(labeled.columns) == ["text", *predict.columns]
    assert not len(labeled)


def test_it_is_pickled_as_a_path_and_loads_once(predict: BatchPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []

    def counted(*given: Any) -> Any:
        loaded.append(given)
        return load(*given)

    monkeypatch.setattr(batch_predictor, "load", counted)
    monkeypatch.setattr(batch_predictor, "_models", {})
    expected = predict({"text": TEXTS})["score"].tolist()
    assert len(pickle.dumps(predict)) < 1000
    copies = [pickle.loads(pickle.dumps(predict)) for _ in range(3)]
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(one({"text": TEXTS})["score"].tolist())) for one in copies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1
    assert [np.nan_to_num(scores).tolist() for scores in found] == [np.nan_to_num(expected).tolist()] * 3


def test_another_model_at_the_same_path_is_loaded(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = BatchPredictor(tiny_run)
    before = predict.model
    assert predict.model is before
    monkeypatch.setattr(batch_predictor, "_changed", lambda _: 1)
    assert predict.model is not before


def test_mistakes_are_one_line(predict: BatchPredictor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column 'text' is not known; did you mean 'texts'"):
        predict({"texts": TEXTS})
    with pytest.raises(UserError, match="has a column 'label' already"):
        predict({"text": ["a"], "label": ["joy"]})
    assert "pred_label" in BatchPredictor(predict.path, prefix="pred_")({"text": ["a"], "label": ["joy"]})
    with pytest.raises(UserError, match="for texts alone use emotion_lit.load"):
        predict(["a text"])
    with pytest.raises(UserError, match="have 'text' 1, 'id' 2"):
        predict({"text": ["a"], "id": [1, 2]})
    with pytest.raises(UserError, match="column is None; it should be a word"):
        BatchPredictor(tmp_path, column=None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="probabilities is 'no'; it should be True or False"):
        BatchPredictor(tmp_path, probabilities="no")  # type: ignore[arg-type]
    BatchPredictor(tmp_path, probabilities=np.bool_(True))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="top_k is 0"):
        BatchPredictor(tmp_path, top_k=0)
    with pytest.raises(UserError, match="threshold is 2"):
        BatchPredictor(tmp_path, threshold=2)
    with pytest.raises(UserError):
        BatchPredictor(tmp_path / "no.ckpt")({"text": ["a"]})
