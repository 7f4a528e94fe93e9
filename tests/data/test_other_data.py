"""Models on data that they were not trained on: all rows are evaluated, and with settings of their own."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from emotion_lit import EmotionClassifier, EmotionDataModule
from emotion_lit.cli import main
from emotion_lit.model.checkpoint import DATA_KEY, read_checkpoint
from tests.conftest import failing
from tests.data.test_sources import as_csv, as_jsonl, write

NAMES = ["joy", "fear", "anger"]
FEW = ["--model.tuning=head", "--model.pooling=cls", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]


def rows_of(count: int, names: list[str] = NAMES, word: str = "text") -> list[dict[str, Any]]:
    return [{"text": f"{word} number {place}", "labels": names[place % len(names)]} for place in range(count)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A folder with `own.csv`, and a run that was trained on it with sizes and filters."""
    folder = tmp_path_factory.mktemp("own")
    write(folder, {"own.csv": as_csv([*rows_of(60, [*NAMES, "other"]), {"text": "", "labels": "joy"}])})
    settings = ["--data.exclude_labels=[other]", "--data.train_size=20", "--data.test_size=3", "--data.on_error=skip"]
    words = [f"--data.dataset={folder / 'own.csv'}", f"--model.backbone={tiny_backbone}", *settings, *FEW]
    main(["fit", *words, f"--trainer.default_root_dir={folder}", "--name=it"])
    return folder


def judged(own: Path, command: str, dataset: Path | None, *words: str) -> dict[str, Any]:
    run = own / "it" / "version_0"
    given = [f"--data.dataset={dataset}"] if dataset else []
    main([command, f"--ckpt_path={run}", *given, f"--evaluation.path={own / 'e.json'}", *words])
    found: dict[str, Any] = json.loads((own / "e.json").read_text())
    return found


def test_the_settings_of_the_rows_are_remembered(own: Path) -> None:
    remembered = read_checkpoint(own / "it" / "version_0")[DATA_KEY]
    assert (remembered["on_error"], remembered["exclude_labels"], remembered["config"]) == ("skip", ["other"], None)
    data = json.loads((own / "it" / "version_0" / "report.json").read_text())["data"]
    (one,) = data["skipped"]["train"].values()
    assert one == {"rows": 1, "first": "own.csv, line 62"}


def test_the_same_file_keeps_its_held_out_rows(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(own, "test", None)["data"]["rows"] == {"test": 3}
    assert "3 of 4 rows of test are evaluated (data.test_size)" in capsys.readouterr().err
    assert judged(own, "test", own / ".." / own.name / "own.csv", "--data.test_size=4")["data"]["rows"] == {"test": 4}


def test_all_rows_of_another_file_are_judged(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, {"other.csv": as_csv(rows_of(40, word="other"))})
    assert judged(own, "validate", own / "other.csv")["data"]["rows"] == {"validation": 40}
    assert "other.csv has no validation split: all 40 rows are evaluated" in capsys.readouterr().err
    typed = judged(own, "test", own / "other.csv", "--data.exclude_labels=[joy]", "--data.test_size=5")
    assert typed["data"]["rows"] == {"test": 5}
    assert "5 of 26 rows of test are evaluated (data.test_size)" in capsys.readouterr().err


def test_labels_that_the_model_does_not_know(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, {"strange.csv": as_csv(rows_of(40, [*NAMES, "hope"], word="strange"))})
    run = f"--ckpt_path={own / 'it' / 'version_0'}"
    line = failing(capsys, "test", run, f"--data.dataset={own / 'strange.csv'}")
    assert "10 of 40 rows of test have labels that the model does not know: hope (10); it knows" in line
    assert "--data.unknown_labels skip" in line
    assert judged(own, "test", own / "strange.csv", "--data.unknown_labels=skip")["data"]["rows"] == {"test": 30}


def test_bad_rows_of_another_file_are_its_own(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(own, {"bad.csv": as_csv([*rows_of(20), {"text": " ", "labels": "joy"}])})
    run = f"--ckpt_path={own / 'it' / 'version_0'}"
    line = failing(capsys, "test", run, f"--data.dataset={own / 'bad.csv'}")
    assert "1 of 21 rows cannot be used: no text" in line
    found = judged(own, "test", own / "bad.csv", "--data.on_error=skip")["data"]
    assert found["rows"] == {"test": 20}
    assert [one["first"] for one in found["skipped"]["train"].values()] == ["bad.csv, line 22"]


def test_predict_takes_both_spellings(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "texts.jsonl").write_text('{"text": "a"}\n{"text":\n{"text": "b"}\n')
    words = [f"--ckpt_path={own / 'it' / 'version_0'}", f"--data.predict_path={own / 'texts.jsonl'}"]
    assert "texts.jsonl, line 2" in failing(capsys, "predict", *words, f"--prediction.path={own / 'no.csv'}")
    for key in ("data", "prediction"):
        out = own / f"{key}.csv"
        main(["predict", *words, f"--prediction.path={out}", f"--{key}.on_error=skip"])
        assert len(out.read_text().splitlines()) == 3
    both = ["--data.on_error=skip", "--prediction.on_error=stop"]
    assert "leave one" in failing(capsys, "predict", *words, f"--prediction.path={own / 'no.csv'}", *both)


def test_in_python_all_rows_of_other_data_are_judged(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = EmotionClassifier.load_from_checkpoint(own / "it" / "version_0" / "checkpoints" / "best.ckpt")
    trainer = pl.Trainer(logger=False, enable_progress_bar=False, enable_checkpointing=False)
    write(own, {"more.csv": as_csv(rows_of(40, NAMES[::-1], word="more"))})
    write(own / "train alone", {"train.jsonl": as_jsonl(rows_of(12))})
    write(own / "both", {"train.jsonl": as_jsonl(rows_of(12)), "test.jsonl": as_jsonl(rows_of(6))})
    for name, stage, split, rows, said in (
        ("more.csv", trainer.test, "test", 40, "all 40 rows are evaluated"),
        ("train alone", trainer.test, "test", 12, "all 12 rows are evaluated"),
        ("both", trainer.test, "test", 6, ""),
        ("both", trainer.validate, "validation", 6, "all 6 rows of test are evaluated"),
        ("own.csv", trainer.test, "test", 4, "has no validation and no test split"),
    ):
        excluded = ["other"] if name == "own.csv" else []
        data = EmotionDataModule(str(own / name), model.settings.backbone, exclude_labels=excluded, on_error="skip")
        stage(model, data, verbose=False)
        assert len(data.rows(split)) == rows
        assert data.label_names == model.labels
        assert said in capsys.readouterr().err
