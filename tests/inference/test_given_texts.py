"""What `model(...)` takes: a string or an iterable of strings, and nothing that merely iterates as strings."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.predictor import Predictor

TEXTS = ["what a day!", "so sad"]
FRAME = pd.DataFrame({"text": TEXTS})
NOTHING = ["", "  \t", None, float("nan"), pd.NA, pd.NaT, np.nan]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return load(tiny_run)


@pytest.mark.parametrize(
    "given",
    [
        TEXTS,
        tuple(TEXTS),
        (text for text in TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        dict.fromkeys(TEXTS).keys(),
        pd.array(TEXTS, dtype="string"),
        FRAME["text"].to_list(),
    ],
)
def test_iterables_of_strings_are_labeled(model: Predictor, given: Any) -> None:
    found = model(given)
    assert [one.label for one in found] == [model(text).label for text in TEXTS]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (FRAME, r'a pandas.DataFrame .* model\.frame\(frame, "text"\)'),
        (pl.DataFrame({"text": TEXTS}), r"a polars.DataFrame .* model\.frame"),
        (pl.LazyFrame({"text": TEXTS}), r"a polars.LazyFrame .* model\.frame"),
        (pa.table({"text": TEXTS}), r"a pyarrow.Table .* model\.frame"),
        (FRAME["text"], r"a pandas.Series .* model\(series\.to_list\(\)\)"),
        (pl.Series(TEXTS), r"a polars.Series .* model\.frame\(series\)"),
        (FRAME.set_index("text").index, r"a pandas.Index .*to_list"),
        (pa.array(TEXTS), r"a pyarrow.StringArray .*to_pylist"),
        (pa.chunked_array([TEXTS]), r"a pyarrow.ChunkedArray .*to_pylist"),
        ({"text": "fine"}, r"a dict .* model\(list\(texts\.values\(\)\)\)"),
        ({"fine"}, r"a set .* model\(sorted\(texts\)\)"),
        (b"fine", r"a bytes .* decode"),
        (Path("texts.txt"), r"a pathlib.*Path .*splitlines"),
        (3, "an int .* a list of strings"),
        (np.array([TEXTS]), "a numpy.ndarray .* 2 dimensions"),
        (np.array("fine"), "a numpy.ndarray .* 0 dimensions"),
        (["fine", 3], "text 1 is 3, which is not a string but an int"),
        ([TEXTS], "text 0 is .*, which is not a string but a list"),
        ([b"fine"], "text 0 is b'fine', which is not a string but a bytes"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused_with_what_to_write(model: Predictor, given: Any, advice: str) -> None:
    with pytest.raises(UserError, match=advice) as error:
        model(given)
    assert "\n" not in str(error.value)


def test_nothing_has_no_label_whichever_way(model: Predictor, tiny_run: Path, tmp_path: Path) -> None:
    for nothing in NOTHING:
        alone, listed = model(nothing), model(["fine", nothing])[1]
        for found in (alone, listed):
            assert (found.label, found.labels) == ("", ())
            assert math.isnan(found.score)
        row = model.frame(pd.DataFrame({"text": ["fine", nothing]}, dtype=object)).iloc[1]
        assert row[["label", "score"]].isna().all()
    rows = [{"text": nothing} for nothing in NOTHING[:3]]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = [f"--data.predict_path={tmp_path / 'in.jsonl'}", f"--prediction.path={tmp_path / 'out.jsonl'}"]
    main(["predict", f"--ckpt_path={tiny_run}", *paths])
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["label"], row["score"]) for row in written] == [("", None)] * 3


def test_halves_of_characters_are_mended_as_predict_does(model: Predictor, tiny_run: Path, tmp_path: Path) -> None:
    texts = ["half \ud83d one", "\ude00", "whole \U0001f600"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    paths = [f"--data.predict_path={tmp_path / 'in.jsonl'}", f"--prediction.path={tmp_path / 'out.jsonl'}"]
    main(["predict", f"--ckpt_path={tiny_run}", *paths])
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    framed = model.frame(pd.DataFrame({"text": texts}, dtype=object))
    for row, one, score in zip(written, model(texts), framed["score"], strict=True):
        assert one.label == row["label"]
        assert one.score == pytest.approx(row["score"], abs=2e-6)
        assert score == pytest.approx(row["score"], abs=2e-6)
