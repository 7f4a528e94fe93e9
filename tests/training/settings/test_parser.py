"""A wrong value is one line that says what the setting takes."""

from pathlib import Path

import pytest
import yaml

from emotion_lit.cli import main
from tests.conftest import failing


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("--model.learning_rate=abc", "model.learning_rate is abc; it should be a number or null"),
        ("--trainer.max_epochs=1.5", "trainer.max_epochs is 1.5; it should be a whole number or null"),
        ("--model.schedule=blubb", "model.schedule is blubb; it should be one of 'linear', 'cosine', 'constant'"),
        ("--data.labels=[no, yes]", "data.labels is [False, True]; it should be a list such as [joy, anger] or null. "),
        ("--data.labels=[no, yes]", "Quote words that YAML takes for something else: ['no', 'yes']"),
        ("--data.predict_path=", "data.predict_path is empty; give it a value, or leave it out"),
        ("--model.backbone=", "model.backbone is empty"),
        ("--trainer.default_root_dir=", "trainer.default_root_dir is empty"),
        ("--data.train_size=-5", "data.train_size: -5 is not a number of rows; it should be at least 1"),
        ("--data.val_size=101%", "data.val_size: '101%' is not a share between 0 and 100%"),
        ("--data.keep_columns=[row, row]", "data.keep_columns has 'row' twice; name it once"),
        ("--data.sources=diary", "data.sources is diary; it should be a list such as [joy, anger] or null"),
        ("--trainer.callbacks=MisterX", "trainer.callbacks: cannot make MisterX: there is no such class"),
        (
            "--trainer.callbacks=ModelPruning",
            "pruning_fn",
        ),
        ("--trainer.logger=WandbLogger", "cannot make lightning.pytorch.loggers.WandbLogger: Requirement 'wandb"),
        ("--trainer.logger=MLFlowLogger", "cannot make lightning.pytorch.loggers.MLFlowLogger: Requirement 'mlflow"),
    ],
)
def test_a_wrong_value(capsys: pytest.CaptureFixture[str], typed: str, line: str) -> None:
    assert line in failing(capsys, "fit", "--data.dataset=sample", typed)


def test_labels_that_yaml_takes_for_booleans(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("data:\n  labels: [no, yes]\n")
    line = failing(capsys, "fit", f"--config={tmp_path / 'own.yaml'}")
    assert "data.labels is [False, True]" in line
    assert "['no', 'yes']" in line


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "there is no configuration {}"),
        ("folder", "the configuration {} is a folder; give a file, or a recipe such as quickstart"),
        ("data:\n  labels: [joy\nname: x\n", "{}, line 3: this is not YAML: did not find expected ',' or ']'"),
        ("data:\n\tlabels: [joy]\n", "{}, line 2: this is not YAML"),
        ("name: *other\n", "{}, line 1: this is not YAML: found undefined alias"),
        ("name: one\n---\nname: two\n", "{}, line 2: this is not YAML: but found another document"),
        ("name: a\x01\n", "{}: this is not YAML: unacceptable character"),
        ("data:\n  seed: 1\n  seed: 2\n", "{}, line 3: the key seed occurs twice; leave one of them out"),
        ("", "{} is not a configuration; it should have lines such as name: my_run"),
        ("- joy\n- anger\n", "{} is not a configuration; it should have lines such as name: my_run"),
        ("only words", "{} is not a configuration; it should have lines such as name: my_run"),
        ("model:\n# tuning: head\n", "model is null; it should be a mapping of settings, which --help lists"),
        (
            "model:\n  class_weights: null\n",
            "model.class_weights is null, which it cannot be; leave it out for its default",
        ),
        ("report:\n  enabled:\n", "report.enabled is null, which it cannot be"),
        ("early_stopping: false\n", "early_stopping is False; it should be a mapping of settings"),
    ],
)
def test_a_configuration_that_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, line: str
) -> None:
    file = tmp_path / "own.yaml"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    for words in (("--config", str(file)), ("--config=configs/quickstart.yaml", f"--config={file}")):
        assert line.format(file) in failing(capsys, "fit", *words)


def test_a_word_that_begins_as_a_comment_is_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--data.label_separator=#", "--data.text_column", "#text", "--print_config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["data"]["label_separator"] == "#"
    assert settings["data"]["text_column"] == "#text"
