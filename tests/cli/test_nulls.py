"""A run's own config.yaml, given again with its checkpoint, changes nothing; what is typed beats both."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from emotion_lit.cli import main
from tests.conftest import leave_out_figures
from tests.faults.kills import SMALL

LEARNED = ("temperature", "threshold")


@pytest.fixture(scope="module")
def run(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with several labels a text, whose temperature and thresholds were chosen at its end."""
    folder = tmp_path_factory.mktemp("nulls")
    words = [f"--model.backbone={tiny_backbone}", "--model.tuning=head", "--data.multi_label=true"]
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        main(["fit", *SMALL, *words, "--trainer.max_epochs=1", f"--trainer.default_root_dir={folder}"])
    return folder / "emotion" / "version_0"


def evaluated(folder: Path, *words: str, command: str = "test") -> Any:
    file = folder / "evaluation.json"
    main([command, *words, f"--evaluation.path={file}"])
    return json.loads(file.read_text())


def test_nulls_of_a_config_erase_nothing_that_the_checkpoint_learned(run: Path, tmp_path: Path) -> None:
    config = f"--config={run / 'config.yaml'}"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert {settings["model"][key] for key in LEARNED} == {settings["data"]["classes"]} == {None}
    for command in ("test", "validate"):
        wanted = evaluated(tmp_path, f"--ckpt_path={run}", command=command)
        assert evaluated(tmp_path, config, f"--ckpt_path={run}", command=command) == wanted
    assert evaluated(tmp_path, f"--ckpt_path={run}", config.split("=")[0], config.split("=")[1]) == evaluated(
        tmp_path, f"--ckpt_path={run}"
    )


def test_predictions_are_the_same_with_its_config(run: Path, texts_file: Path, tmp_path: Path) -> None:
    written = []
    for name, more in (("without", []), ("with", [f"--config={run / 'config.yaml'}"])):
        target = tmp_path / f"{name}.jsonl"
        paths = [f"--data.predict_path={texts_file}", f"--prediction.path={target}"]
        main(["predict", f"--ckpt_path={run}", *paths, *more])
        written.append(target.read_bytes())
    assert written[0] == written[1]


def test_what_is_typed_beats_both_wherever_it_stands(run: Path, tmp_path: Path) -> None:
    config = f"--config={run / 'config.yaml'}"
    wanted = evaluated(tmp_path, f"--ckpt_path={run}", "--model.temperature=5")
    assert evaluated(tmp_path, "--model.temperature=5", f"--ckpt_path={run}", config) == wanted
    # A typed null is a value like any other.
    plain = evaluated(tmp_path, f"--ckpt_path={run}", "--model.temperature=1", "--model.threshold=0.5")
    nulls = evaluated(tmp_path, config, f"--ckpt_path={run}", "--model.temperature=null", "--model.threshold", "null")
    assert nulls == plain
    assert wanted != plain != evaluated(tmp_path, f"--ckpt_path={run}")


def test_values_of_a_config_still_count(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("model:\n  temperature: 5.0\n  threshold: null\n")
    typed = evaluated(tmp_path, f"--ckpt_path={run}", "--model.temperature=5")
    assert evaluated(tmp_path, f"--ckpt_path={run}", f"--config={tmp_path / 'own.yaml'}") == typed


@pytest.mark.usefixtures("no_figures")
def test_a_run_goes_on_with_its_config_as_without(tiny_backbone: Path, tmp_path: Path) -> None:
    words = [f"--model.backbone={tiny_backbone}", "--model.tuning=lora", f"--trainer.default_root_dir={tmp_path}"]
    main(["fit", *SMALL, *words, "--trainer.max_epochs=1", "--trainer.gradient_clip_val=null"])
    run, begun = tmp_path / "emotion" / "version_0", tmp_path / "begun"
    shutil.copytree(run, begun)
    weights, configs = [], []
    for own in ([], ["--config", str(run / "config.yaml")]):
        shutil.rmtree(run)
        shutil.copytree(begun, run)
        main(["fit", f"--ckpt_path={run}", *own, "--trainer.max_epochs=2"])
        kept = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        assert kept["epoch"] == 1
        weights.append(kept["state_dict"])
        configs.append(yaml.safe_load((run / "config.yaml").read_text()))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    for config in configs:  # which name the same folder, and a screen is no part of a run
        config["model"].pop("backbone")
        for key in ("default_root_dir", "enable_progress_bar"):
            config["trainer"].pop(key)
    assert configs[0] == configs[1]
    assert configs[1]["trainer"]["gradient_clip_val"] is None
    assert configs[1]["trainer"]["precision"] is not None


def test_null_is_a_choice_where_the_default_is_another(tiny_backbone: Path, tmp_path: Path) -> None:
    words = [f"--model.backbone={tiny_backbone}", f"--trainer.default_root_dir={tmp_path}", "--trainer.fast_dev_run=1"]
    (tmp_path / "own.yaml").write_text("trainer:\n  gradient_clip_val: null\n")
    done = main(["fit", *SMALL, *words, f"--config={tmp_path / 'own.yaml'}"])
    assert done is not None
    assert done.trainer.gradient_clip_val is None
