"""`~` is the home in every setting that is a path."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.utils.paths import READ, WRITTEN, expand_all, expanded
from tests.conftest import failing
from tests.training.settings.test_unused_settings import parse


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_every_path_is_expanded(home: Path) -> None:
    settings: dict[str, Any] = dict.fromkeys((*READ, *WRITTEN), "~/x") | {"runs": [Path("~/a"), Path("b")], "name": "~"}
    settings["trainer.callbacks"] = [{"class_path": "OnExceptionCheckpoint", "init_args": {"dirpath": "~/x"}}]
    settings["trainer.logger"] = {"class_path": "CSVLogger", "init_args": {"save_dir": "~/x"}}
    expand_all(settings)
    assert settings.pop("runs") == [home / "a", Path("b")]
    assert settings.pop("name") == "~"
    assert settings.pop("trainer.callbacks")[0]["init_args"]["dirpath"] == str(home / "x")
    assert settings.pop("trainer.logger")["init_args"]["save_dir"] == str(home / "x")
    assert set(settings.values()) == {str(home / "x")}


def test_settings_that_are_no_paths_stay(home: Path) -> None:
    settings, _ = parse(
        "fit", "--data.labels=[~/a, /b]", "--name=~x", "--data.id_column=~", "--data.exclude_labels=[~x]"
    )
    assert [settings[f"data.{key}"] for key in ("labels", "id_column")] == [["~/a", "/b"], "~"]
    assert settings["name"] == "~x"


@pytest.mark.usefixtures("no_figures")
def test_a_run_and_its_use_in_the_home(home: Path, tiny_backbone: Path) -> None:
    shutil.copytree(tiny_backbone, home / "encoder")
    shutil.copyfile(Path(__file__).parent.parent.parent / "emotion_lit/data/sample/test.jsonl", home / "rows.jsonl")
    config = {"data": {"dataset": "~/rows.jsonl", "train_size": 40, "val_size": 14, "test_size": 14}}
    (home / "own.yaml").write_text(yaml.safe_dump(config))
    main(
        [
            *("fit", "--config=~/own.yaml", "--model.backbone=~/encoder", "--trainer.default_root_dir=~/runs"),
            *("--data.cache_dir=~/cache", "--checkpoint.dirpath=~/best", "--trainer.max_steps=1"),
            *("--trainer.logger=CSVLogger", "--trainer.logger.save_dir=~/curves"),
        ]
    )
    assert (home / "cache" / "tokens").is_dir()
    assert (home / "best" / "best.ckpt").is_file()
    assert list((home / "curves").rglob("metrics.csv"))
    (home / "texts.txt").write_text("what a day!\n")
    files = ["--data.predict_path=~/texts.txt", "--prediction.path=~/out.csv"]
    main(["predict", "--ckpt_path=~/best/best.ckpt", *files])
    assert (home / "out.csv").is_file()
    main(["test", "--ckpt_path=~/best/best.ckpt", "--evaluation.path=~/own.json"])
    assert (home / "own.json").is_file()
    assert load("~/best/best.ckpt").labels
    assert EmotionDataModule(dataset="~/rows.jsonl").settings.dataset == str(home / "rows.jsonl")
    assert not list(Path().iterdir())


def test_there_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no such home"):
        expanded("~nobody-of-this-name/x")


@pytest.mark.parametrize("key", ["trainer.default_root_dir", "data.cache_dir", "checkpoint.dirpath"])
def test_nothing_is_written_to_a_server(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{key} is s3://bucket/x" in failing(capsys, "fit", f"--{key}=s3://bucket/x")
    assert not list(tmp_path.iterdir())
