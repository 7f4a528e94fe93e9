from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.predictor import Predictor

TEXTS = ["what a day!", None, "so sad", " ", "she said yes"]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return load(tiny_run)


@pytest.fixture(scope="module")
def labels(model: Predictor) -> list[str | None]:
    return [one.label or None for one in model(TEXTS)]


def labels_in(frame: Any, name: str = "label") -> list[str | None]:
    values = frame[name].to_pylist() if isinstance(frame, pa.Table) else list(frame[name])
    return [value if isinstance(value, str) else None for value in values]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"text": TEXTS}),
        pd.DataFrame({"text": pd.Series(TEXTS, dtype="category")}),
        pd.DataFrame({"text": pd.Series(TEXTS, dtype="string")}),
        pd.DataFrame({"text": pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string()))}),
        pl.DataFrame({"text": TEXTS}),
        pl.DataFrame({"text": pl.Series(TEXTS, dtype=pl.Categorical)}),
        pa.table({"text": TEXTS}),
        pa.table({"text": pa.array(TEXTS).dictionary_encode()}),
        pa.table({"text": pa.array(TEXTS, pa.large_string())}),
    ],
    ids=str,
)
def test_frames_of_all_kinds_get_the_same_labels(model: Predictor, labels: list[str | None], frame: Any) -> None:
    found = model.frame(frame)
    assert type(found) is type(frame)
    assert labels_in(found) == labels
    names = found.column_names if isinstance(found, pa.Table) else list(found.columns)
    assert names == ["text", "label", "score", *(f"p_{label}" for label in model.labels)]


def test_lazy_frames_stay_lazy_and_batches_become_tables(model: Predictor, labels: list[str | None]) -> None:
    found = model.frame(pl.LazyFrame({"text": TEXTS}))
    assert isinstance(found, pl.LazyFrame)
    assert labels_in(found.collect()) == labels
    assert found.collect().schema["score"] == pl.Float64
    assert labels_in(model.frame(pa.record_batch({"text": TEXTS}))) == labels


def test_series_become_frames(model: Predictor, labels: list[str | None]) -> None:
    for series in (pd.Series(TEXTS), pl.Series(TEXTS)):
        found = model.frame(series)
        assert list(found.columns)[:2] == ["text", "label"]
        assert labels_in(found) == labels
    named = model.frame(pd.Series(TEXTS, name="body", index=list("aabbc")))
    assert list(named.columns)[:2] == ["body", "label"]
    assert list(named.index) == list("aabbc")


def test_the_index_stays(model: Predictor, labels: list[str | None]) -> None:
    several = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 1), ("b", 2), ("c", 3)], names=["x", "y"])
    for index in ([7, 7, 7, 0, 0], several, pd.date_range("2024-01-01", periods=5)):
        frame = pd.DataFrame({"text": TEXTS}, index=index)
        found = model.frame(frame)
        assert found.index.equals(frame.index)
        assert labels_in(found) == labels
        assert list(frame.columns) == ["text"], "what was given stays as it was"


def test_columns_are_never_overwritten(model: Predictor, labels: list[str | None]) -> None:
    gold = {"text": TEXTS, "label": ["joy"] * 5}
    for frame in (pd.DataFrame(gold), pl.DataFrame(gold), pl.LazyFrame(gold), pa.table(gold)):
        with pytest.raises(UserError, match=r"column 'label' already.*prefix='pred_'"):
            model.frame(frame)
        found = model.frame(frame, prefix="pred_")
        collected = found.collect() if isinstance(found, pl.LazyFrame) else found
        assert labels_in(collected) == ["joy"] * 5
        assert labels_in(collected, "pred_label") == labels
        with pytest.raises(UserError, match=r"column 'pred_label' already.*prefix='model_'"):
            model.frame(found, prefix="pred_")


def test_odd_frames_are_labeled_or_refused(model: Predictor, labels: list[str | None]) -> None:
    twice = pd.DataFrame([[text, "x", "y"] for text in TEXTS], columns=["text", "other", "other"])
    assert labels_in(model.frame(twice)) == labels
    twice.columns = pd.Index(["text", "text", "other"])
    with pytest.raises(UserError, match="2 columns 'text'"):
        model.frame(twice)
    with pytest.raises(UserError, match="2 columns 'text'"):
        model.frame(pa.Table.from_arrays([pa.array(TEXTS)] * 2, names=["text", "text"]))
    with pytest.raises(UserError, match="column 'txt' is not known; did you mean 'text'"):
        model.frame(pd.DataFrame({"text": TEXTS}), "txt")
    with pytest.raises(UserError, match="has no texts, but values such as 3"):
        model.frame(pd.DataFrame({"text": [3, 4]}))
    for given in ({"text": TEXTS}, TEXTS, "text", b"text", None):
        with pytest.raises(UserError, match=r"frame labels a frame or a series.*model\(texts\)"):
            model.frame(given)
    levels = pd.DataFrame({("text", "a"): TEXTS, ("text", "b"): TEXTS})
    with pytest.raises(UserError, match=r"column 'text' is not known. Available: \('text', 'a'\)"):
        model.frame(levels)


@pytest.mark.parametrize("frame", [pd.DataFrame({"text": []}), pl.DataFrame({"text": []}), pa.table({"text": []})])
def test_empty_frames_get_the_columns(model: Predictor, frame: Any) -> None:
    found = model.frame(frame)
    assert len(found) == 0
    assert "label" in (found.column_names if isinstance(found, pa.Table) else found.columns)


def test_frames_hold_what_predict_writes(model: Predictor, tiny_run: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    paths = [f"--data.predict_path={tmp_path / 'in.parquet'}", f"--prediction.path={tmp_path / 'out.parquet'}"]
    main(["predict", f"--ckpt_path={tiny_run}", *paths])
    written, framed = pq.read_table(tmp_path / "out.parquet"), model.frame(pa.table({"text": TEXTS}))
    assert [label or None for label in written["label"].to_pylist()] == framed["label"].to_pylist()
    for name in ("score", *(f"p_{label}" for label in model.labels)):
        assert framed[name].to_pylist() == [
            None if one is None else pytest.approx(one, abs=2e-6) for one in written[name].to_pylist()
        ]
