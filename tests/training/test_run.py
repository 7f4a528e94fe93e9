"""Training as a function: what it takes and gives, and that it leaves the process as it was."""

import json
import logging
import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import emotion_lit
from emotion_lit import RunResult, load
from emotion_lit.errors import UserError
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.mapping import nested_settings
from tests.conftest import BACKBONE, Train


class _ParsedError(Exception):
    pass


SMALL: dict[str, Any] = {
    "data": {"dataset": "sample", "train_size": 140, "val_size": 42, "test_size": 42},
    "model": {"backbone": str(BACKBONE), "tuning": "head"},
    "trainer": {"max_epochs": 2},
}


def fit(folder: Path, overrides: dict[str, Any] | None = None) -> RunResult:
    return emotion_lit.fit(SMALL, {"trainer.default_root_dir": str(folder), **(overrides or {})})


def process() -> dict[str, Any]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return {
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "loggers": {
            one.name: (one.level, one.handlers, one.propagate) for one in loggers if isinstance(one, logging.Logger)
        },
        "signals": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)],
        "threads": torch.get_num_threads(),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),  # type: ignore[index]
    }


def test_fit_gives_scores_and_files_and_leaves_the_process_as_it_was(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")  # a launcher's, which a run sets aside
    emotion_lit.fit  # noqa: B018, imports libraries that add filters of their own
    before = process()
    result = fit(tmp_path, {"trainer.deterministic": True})
    after = process()
    new = set(after["loggers"]) - set(before["loggers"])  # of libraries that are imported on their first use
    after["loggers"] = {name: found for name, found in after["loggers"].items() if name not in new}
    for part in before:
        assert after[part] == before[part], part

    assert result.run_folder == tmp_path / "emotion" / "version_0"
    assert result.report == result.run_folder / "report.json"
    report = json.loads(result.report.read_text())
    assert (result.before, result.after) == (report["before"], report["after"])
    assert result.best_checkpoint == result.run_folder / "checkpoints" / "best.ckpt"
    assert load(result.best_checkpoint)("what a day!")
    assert result.metric == "val/macro_f1"
    assert result.value == pytest.approx(report["after"]["validation"]["macro_f1"], abs=1e-6)

    same = json.loads((train("--model.tuning=head", "--trainer.deterministic=true") / "report.json").read_text())
    assert (report["before"], report["after"]) == (same["before"], same["after"])


def test_a_run_is_resumed_by_its_checkpoint(tmp_path: Path) -> None:
    first = fit(tmp_path)
    again = emotion_lit.fit({"ckpt_path": str(first.run_folder), "trainer.max_epochs": 3})
    assert again.run_folder is not None
    assert again.run_folder.resolve() == (tmp_path / "emotion" / "version_0").resolve()
    assert again.before == first.before
    config = yaml.safe_load((again.run_folder / "config.yaml").read_text())
    assert config["data"]["train_size"] == 140
    assert config["trainer"]["max_epochs"] == 3


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"model": {"tunning": "head"}}, "Did you mean model.tuning?"),
        ({"lr": 1e-3}, "Did you mean model.learning_rate?"),
        ({"trainer.max_epochs": "many"}, "trainer.max_epochs is many; it should be a whole number or null"),
        ({"model.learning_rate": -1}, "model.learning_rate"),
        ({"ckpt_path": "nowhere"}, "there is no checkpoint nowhere"),
        ({"ckpt_path": 3}, "ckpt_path is 3; it should be text or a path or null"),
        ({"model": 3}, "model is 3; it should be a mapping of settings, which --help lists, or be left out"),
        ({"model": "lora"}, "model is 'lora'; it should be a mapping of settings"),
        ({"trainer": None}, "trainer is null; it should be a mapping of settings"),
        ({"checkpoint": ["val/loss"]}, "checkpoint is ['val/loss']; it should be a mapping of settings"),
        ({"report": False}, "report is False; it should be a mapping of settings"),
        ({"model": {"lora": 8}}, "model.lora is 8; it should be a mapping of settings"),
        ({"model": {3: 4}}, "there is no setting model.3"),
        ({"optimizer": {}}, "there is no setting optimizer; leave it out"),
        ({"model..tuning": "lora"}, "the name of a setting is 'model..tuning', which has an empty part"),
        ({"name": {"a": 1}}, "name is {'a': 1}; it should be text"),
        ({"name": None}, "name is null"),
        ({"config": "quickstart"}, "config cannot be set inside settings"),
        (
            {"trainer": {"callbacks": {"class_path": "Timer", "init_args": 3}}},
            "trainer.callbacks: cannot make Timer: class_path should be the name of a class, and init_args a mapping",
        ),
        ({"trainer.callbacks": ["Nope"]}, "cannot make ['Nope']: there is no such class"),
        ({"trainer.fast_dev_run": -1}, "the Trainer rejects its settings"),
        ({"name": "", "data.dataset": "nowhere.csv"}, "name is empty"),
        ({"data.dataset": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_a_mistake_is_a_user_error(tmp_path: Path, overrides: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as raised:
        fit(tmp_path, overrides)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_interrupt_keeps_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("emotion_lit.training.module.EmotionClassifier.on_train_batch_start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "emotion" / "version_0" / "checkpoints" / "last.ckpt").is_file()


def test_the_command_line_takes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parse to the same settings."""
    parsed: list[Any] = []

    def stop(cli: EmotionCLI) -> None:
        parsed.append(cli.config.fit.clone())
        raise _ParsedError

    monkeypatch.setattr(EmotionCLI, "_set_seed", stop)
    for args in (
        ["fit", "--config=quickstart", "--trainer.max_epochs=7"],
        {"subcommand": "fit", "fit": nested_settings("quickstart", {"trainer.max_epochs": 7})},
    ):
        with pytest.raises(_ParsedError):
            EmotionCLI(args, ["fit"] if isinstance(args, dict) else None)
    typed, given = (settings.as_dict() for settings in parsed)
    for settings in (typed, given):
        settings.pop("config", None)
    assert typed == given
    assert given["trainer"]["max_epochs"] == 7


# Settings from Python


def test_overrides_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\ndata:\n  dataset: sample\n  exclude_labels: [love]\nmodel:\n  learning_rate: 1e-3\n")
    overrides = {"data": {"exclude_labels": ["joy"]}, "model.lora.rank": 8}
    expected = {
        "name": "own",
        "data": {"dataset": "sample", "exclude_labels": ["joy"]},
        "model": {"learning_rate": 1e-3, "lora": {"rank": 8}},
    }
    assert nested_settings(file, overrides) == nested_settings(str(file), overrides) == expected


def test_the_settings_of_a_class_replace_those_of_another() -> None:
    settings = {"trainer": {"logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "a"}}}}
    other = {"trainer.logger": {"class_path": "TensorBoardLogger", "init_args": {"name": "b"}}}
    assert nested_settings(settings, other)["trainer"]["logger"] == other["trainer.logger"]
    assert nested_settings(settings, {"trainer.logger": False})["trainer"]["logger"] is False
    assert settings["trainer"]["logger"]["init_args"] == {"save_dir": "a"}


def test_a_key_that_is_both_a_block_and_a_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"model is 3 and has no setting tuning; leave one of them out"):
        nested_settings({"model": 3, "model.tuning": "head"})
    with pytest.raises(UserError, match="not int"):
        nested_settings(3)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers_and_data_frames_are_refused() -> None:
    settings = nested_settings({"data.train_size": np.int64(32), "model": {"class_weights": np.ones(2)}})
    assert settings == {"data": {"train_size": 32}, "model": {"class_weights": [1.0, 1.0]}}
    (weight,) = nested_settings({"model.class_weights": [np.float32(1)]})["model"]["class_weights"]
    assert type(weight) is float
    assert type(settings["data"]["train_size"]) is int
    with pytest.raises(UserError, match="data.dataset is a DataFrame; write it to a file"):
        nested_settings({"data.dataset": pd.DataFrame({"text": ["a"]})})


@pytest.mark.parametrize("callbacks", [["a"], 5])
def test_callbacks_are_those_of_lightning(callbacks: Any) -> None:
    with pytest.raises(UserError, match="callbacks are a list of Lightning's callbacks, not"):
        emotion_lit.fit("quickstart", None, callbacks)
