"""Rows that nothing can be predicted for, and several labels, in every output alike."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.checkpoint import KEY, MODEL_KEY, weights_sha256
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
