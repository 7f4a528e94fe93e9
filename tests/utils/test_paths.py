"""What was typed as a path works from any folder, and what is no path stays as it is."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.model.checkpoint import relative_path
from tests.conftest import SMALL, failing


@pytest.fixture
def backbone(tmp_path: Path, tiny_backbone: Path) -> Path:
    return Path(shutil.copytree(tiny_backbone, tmp_path / "models" / "own bert"))


def fit(folder: Path, *more: str) -> Path:
    main(["fit", *SMALL, "--trainer.max_epochs=1", f"--trainer.default_root_dir={folder}", "--name=own", *more])
    return folder / "own" / "version_0"


def test_absolute_paths_work_from_any_folder(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"text {n}", "labels": ("/joy", "anger")[n % 2]} for n in range(60)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sizes = [f"--data.{split}_size=null" for split in ("train", "val", "test")]
    data = [f"--data.dataset={tmp_path / 'own.jsonl'}", *sizes]
    run = fit(tmp_path / "logs", f"--model.backbone={backbone}", "--model.tuning=lora", *data)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert str(tmp_path) not in str({**checkpoint, "state_dict": None})
    assert checkpoint["hyper_parameters"]["labels"] == ["/joy", "anger"]

    elsewhere = tmp_path / "some" / "where" / "else"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    (elsewhere / "texts.txt").write_text("what a day!\n")
    main(["predict", f"--ckpt_path={run}", "--data.predict_path=texts.txt", "--prediction.path=out.csv"])
    assert (elsewhere / "out.csv").is_file()
    main(["test", f"--ckpt_path={run}"])
    assert (run / "evaluation.json").is_file()
    main(["fit", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}", "--trainer.max_epochs=2"])

    backbone.rename(backbone.with_name("moved"))
    capsys.readouterr()
    line = failing(capsys, "predict", f"--ckpt_path={run}", "--data.predict_path=texts.txt")
    assert "own bert" in line
    assert checkpoint["emotion_lit"]["backbone"]["network_sha256"][:12] in line
    assert "--model.backbone" in line
    main(
        ["predict", f"--ckpt_path={run}", "--data.predict_path=texts.txt", f"--model.backbone={tmp_path}/models/moved"]
    )


def test_another_drive_of_windows_keeps_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_drive(*paths: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", other_drive)
    assert relative_path("/mnt/d/bert") == "bert"
    assert relative_path("bert-base-uncased") == "bert-base-uncased"


def test_a_link_is_written_through(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("what a day!\n")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "target.csv")
    arguments = [f"--data.predict_path={tmp_path / 'texts.txt'}", f"--prediction.path={tmp_path / 'link.csv'}"]
    main(["predict", f"--ckpt_path={tiny_run}", *arguments, "--prediction.overwrite=true"])
    assert (tmp_path / "link.csv").is_symlink()
    assert "what a day!" in (tmp_path / "there" / "target.csv").read_text()


@pytest.mark.parametrize("name", ["a:b", "what?", "nul", "CON.txt", "ends."])
def test_names_that_make_no_folder_on_windows(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    line = failing(capsys, "fit", *SMALL, f"--trainer.default_root_dir={tmp_path}", f"--name={name}")
    assert "Windows" in line
