"""The table of predictions; rows without a label, and multi-label predictions, are the same in every output."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.data.window_batches import NO_TEXT
from emotion_lit.errors import UserError
from emotion_lit.inference.output_columns import NOT_FINITE, TableBuilder, round_probabilities, unlabeled_rows
from emotion_lit.model.checkpoint import KEY, MODEL_KEY, weights_sha256
from emotion_lit.model.decision import Decision
from tests.conftest import leave_out_figures
from tests.faults.kills import SMALL

TEXTS = ["what a day", "zebra", "she said yes", "", "leave me alone"]


@pytest.fixture(scope="module")
def several(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with several labels a text and typed thresholds, whose model knows nothing finite about zebras."""
    folder = tmp_path_factory.mktemp("several")
    words = ["--data.multi_label=true", "--model.threshold=0.45", "--model.class_weights=balanced"]
    words += [f"--model.backbone={tiny_backbone}", "--model.tuning=full", "--trainer.max_epochs=1"]
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        cli = main(["fit", *SMALL, *words, f"--trainer.default_root_dir={folder}", "--name=several"])
    assert cli is not None
    counts = torch.tensor(cli.datamodule.corpus.class_counts("train"))
    torch.testing.assert_close(cli.model.criterion.class_weights, (140 - counts) / counts)
    run = folder / "several" / "version_0"
    file = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    name = next(name for name in checkpoint["state_dict"] if name.endswith("word_embeddings.weight"))
    zebra = load(run).tokenizer.convert_tokens_to_ids("zebra")
    checkpoint["state_dict"][name][zebra] = float("nan")
    checkpoint[KEY]["weights_sha256"] = weights_sha256(checkpoint["state_dict"])
    torch.save(checkpoint, file)
    return run


def rows_of(run: Path, target: Path, *more: str) -> list[dict[str, Any]]:
    source = target.with_name("in.jsonl")
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}", *more])
    return [json.loads(line) for line in target.read_text().splitlines()]


def test_what_is_empty_or_no_number_predicts_nothing(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(several, tmp_path / "out.jsonl")
    assert "2 rows have no label, and their note says why; the first is row 2" in capsys.readouterr().err
    for row in (rows[1], rows[3]):
        assert (row["label"], row["score"], row["labels"], row["p_Joy"]) == ("", None, [], None)
    assert rows[1]["note"] == "no label: the probabilities are not finite numbers"
    assert rows[3]["note"].startswith("no text")


def test_every_way_to_predict_gives_the_same_labels(several: Path, tmp_path: Path) -> None:
    rows, model = rows_of(several, tmp_path / "out.jsonl"), load(several)
    predictions = model(TEXTS)
    assert [list(one.labels) for one in predictions] == [row["labels"] for row in rows]
    assert [one.label for one in predictions] == [row["label"] for row in rows]
    assert math.isnan(predictions[1].score)
    frame = model.frame(pd.DataFrame({"text": TEXTS}))
    assert frame["label"].isna().tolist() == [False, True, False, True, False]
    known = [one for one in predictions if one.label]
    assert {len(one.labels) for one in known} - {0}  # some reach 0.45
    for one in known:
        assert set(one.labels) == {label for label, p in one.probabilities.items() if p >= 0.45}


def test_a_typed_threshold_meets_the_probabilities_that_are_shown(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(load(several).decision.thresholds) == {0.45}  # though a temperature was chosen
    rows = rows_of(several, tmp_path / "out.jsonl", "--model.temperature=3", "--model.threshold=0.501")
    capsys.readouterr()
    for row in (rows[0], rows[2], rows[4]):
        assert set(row["labels"]) == {key[2:] for key, p in row.items() if key.startswith("p_") and p >= 0.501}


def test_thresholds_that_were_chosen_for_another_temperature_are_named(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copy(several / "checkpoints" / "best.ckpt", tmp_path / "chosen.ckpt"))
    checkpoint = torch.load(copied, weights_only=True)
    checkpoint[MODEL_KEY]["threshold"] = np.linspace(0.3, 0.6, 7).tolist()
    torch.save(checkpoint, copied)
    rows_of(copied, tmp_path / "out.jsonl", "--model.temperature=3")
    assert "the checkpoint's thresholds were chosen with" in capsys.readouterr().err
    rows_of(copied, tmp_path / "again.jsonl")
    assert "were chosen with" not in capsys.readouterr().err


# The table itself

ONE = Decision(("joy", "fear", "love"), multi_label=False, temperature=1.0, thresholds=())
SEVERAL = Decision(("joy", "fear", "love"), multi_label=True, temperature=1.0, thresholds=(0.5, 0.2, 0.5))


def rows(count: int) -> pa.Table:
    return pa.table({"id": range(count), "text": ["fine"] * count})


def test_the_first_of_equal_classes_comes_first() -> None:
    table = TableBuilder(ONE, top_k=9).build(rows(2), np.array([[0.4, 0.2, 0.4], [0.2, 0.4, 0.4]]))
    assert table.column("label").to_pylist() == ["joy", "fear"]
    assert table.column("label_2").to_pylist() == ["love", "love"]
    assert table.column("label_3").to_pylist() == ["fear", "joy"]
    assert "label_4" not in table.column_names


def test_a_label_is_decided_before_scores_are_rounded() -> None:
    table = TableBuilder(ONE, threshold=0.5).build(rows(2), np.array([[0.4999999, 0.1, 0.4], [0.5, 0.1, 0.4]]))
    assert table.column("score").to_pylist() == [0.5, 0.5]
    assert table.column("label").to_pylist() == ["uncertain", "joy"]


def test_several_labels_come_by_their_probability() -> None:
    table = TableBuilder(SEVERAL).build(rows(3), np.array([[0.6, 0.2, 0.9], [0.1, 0.1, 0.1], [np.nan, 1, 1]]))
    assert table.column("labels").to_pylist() == [["love", "joy", "fear"], [], []]
    assert table.column("label").to_pylist() == ["love", "joy", ""]


@pytest.mark.parametrize("decision", [ONE, SEVERAL])
def test_rows_that_are_not_finite_have_no_label_and_a_note(decision: Decision) -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [np.nan, 0.5, 0.5], [np.nan] * 3, [np.inf, 0, 0]])
    table = TableBuilder(decision, top_k=2).build(rows(4), probabilities, [None, "odd", NO_TEXT, None])
    assert table.column("note").to_pylist() == [None, f"odd; {NOT_FINITE}", NO_TEXT, NOT_FINITE]
    assert unlabeled_rows(table).tolist() == [1, 2, 3]
    assert table.column("label").to_pylist()[1:] == ["", "", ""]
    assert table.column("label").to_pylist()[0] == "joy"
    for name in ("score", "label_2", "score_2", "p_joy", "p_fear", "p_love"):
        assert [value is None for value in table.column(name).to_pylist()] == [False, True, True, True], name


def test_an_empty_table_has_the_same_columns() -> None:
    builder = TableBuilder(SEVERAL, top_k=2, kept=("more",))
    full = builder.build(rows(1).append_column("more", pa.array(["x"])), np.full((1, 3), 0.5))
    assert builder.empty().column_names == full.column_names
    assert builder.empty().num_rows == 0


def test_a_kept_column_has_no_name_of_another_one() -> None:
    for name in ("label_2", "p_joy", "note", "text"):
        with pytest.raises(UserError, match=f"data.keep_columns has {name}, which is a column of the predictions"):
            TableBuilder(ONE, top_k=2, kept=(name,))
    assert TableBuilder(ONE, kept=("label_2",)).kept == ("label_2",)


def test_probabilities_are_rounded_as_python_rounds() -> None:
    random = np.random.default_rng(0)
    halves = (np.arange(2000) + 0.5) / 1e6  # some of which lie above a tie, some below, in double precision
    doubles = np.concatenate([random.uniform(size=4000), random.uniform(size=2000) ** 8, halves, 1 - halves, [0, 1]])
    for values in (doubles, doubles.astype(np.float32), np.nextafter(doubles, 1), np.nextafter(doubles, 0)):
        expected = [round(value, 6) for value in values.astype(np.float64).tolist()]
        assert round_probabilities(values[:, None])[:, 0].tolist() == expected
