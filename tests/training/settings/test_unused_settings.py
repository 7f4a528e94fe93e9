"""A setting without effect is said in one line; one that nobody typed, and one of a shared file, is not."""

from typing import Any

import pytest
import yaml

from emotion_lit.cli import main
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.unused_rules import RULES
from emotion_lit.training.settings.unused_settings import (
    NEVER,
    UNUSED,
    is_listed,
    typed_keys,
    unused_lines,
)


class _ParsedError(Exception):
    pass


class _Parsing(EmotionCLI):
    """Stops when everything is parsed."""

    def before_instantiate_classes(self) -> None:
        raise _ParsedError(self.config[self.subcommand], self._parser(self.subcommand))


def parse(*words: str) -> tuple[Any, Any]:
    with pytest.raises(_ParsedError) as stopped:
        _Parsing(list(words))
    return stopped.value.args[0], stopped.value.args[1]


@pytest.fixture(scope="module")
def defaults() -> Any:
    return parse("fit")[1].get_defaults()


def lines(command: str, defaults: Any, *typed: str) -> list[str]:
    """The lines about settings that are typed as KEY=VALUE."""
    settings = defaults.clone()
    for word in typed:
        key, value = word.split("=")
        settings[key] = yaml.safe_load(value)
    return list(unused_lines(command, typed_keys([f"--{word}" for word in typed]), settings, defaults))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            ["model.tuning=head", "model.learning_rate=1"],
            "model.learning_rate has no effect with tuning head; model.head_learning_rate has",
        ),
        (["model.tuning=full", "model.lora.rank=8", "model.lora.alpha=8"], "model.lora.rank, model.lora.alpha have no"),
        (["model.tuning=head", "model.lora.rank=16"], "model.lora.rank has no effect with tuning head"),
        (["model.tuning=head", "model.trainable_layers=2"], "model.trainable_layers has no effect with tuning head"),
        (["model.cache_features=false"], "model.cache_features has no effect with tuning lora of all layers"),
        (["model.tuning=head", "model.pooling=cls", "model.cache_features=true"], "model.cache_features has no effect"),
        (["model.threshold=0.4"], "model.threshold has no effect with one class per text"),
        (["data.multi_label=true", "model.label_smoothing=0.1"], "model.label_smoothing has no effect with several"),
        (["trainer.max_epochs=-1", "model.schedule=cosine"], "model.schedule has no effect with trainer.max_epochs -1"),
        (["data.batch_size=8", "data.tokens_per_batch=99"], "data.tokens_per_batch has no effect with data.batch_size"),
        (["trainer.gradient_clip_val=0", "trainer.gradient_clip_algorithm=value"], "trainer.gradient_clip_algorithm"),
        (["trainer.enable_checkpointing=false", "last.every_minutes=1"], "last.every_minutes has no effect with"),
        (["trainer.limit_val_batches=0", "early_stopping.patience=1"], "early_stopping.patience has no effect with"),
        (["trainer.limit_val_batches=0", "trainer.val_check_interval=0.5"], "trainer.val_check_interval has no effect"),
        (["trainer.logger=false", "trainer.log_every_n_steps=1"], "trainer.log_every_n_steps has no effect with"),
        (
            ["early_stopping.check_finite=false"],
            "early_stopping.check_finite has no effect with metrics other than losses",
        ),
        (
            ["early_stopping.strict=false"],
            "early_stopping.strict has no effect: the monitored metric is checked",
        ),
        (["trainer.inference_mode=false"], "trainer.inference_mode has no effect with fit"),
        (["early_stopping.log_rank_zero_only=true"], "early_stopping.log_rank_zero_only has no effect with"),
        (["trainer.accelerator=cpu", "trainer.benchmark=true"], "trainer.benchmark has no effect with"),
        (["trainer.use_distributed_sampler=true"], "trainer.use_distributed_sampler has no effect: our sampler"),
        (["prediction.path=x.csv"], "prediction.path has no effect with fit"),
        (["trainer.limit_test_batches=3"], "trainer.limit_test_batches has no effect with fit"),
    ],
)
def test_a_setting_without_effect_is_reported(defaults: Any, typed: list[str], line: str) -> None:
    (said,) = lines("fit", defaults, *typed)
    assert said.startswith(line)


@pytest.mark.parametrize(
    "typed",
    [
        ["model.learning_rate=1"],
        ["early_stopping.monitor=val/loss", "early_stopping.check_finite=false"],
        ["model.tuning=head", "model.head_learning_rate=1"],
        ["model.tuning=full", "model.trainable_layers=2", "model.cache_features=false"],
        ["data.multi_label=true", "model.threshold=0.4"],
        ["trainer.max_epochs=-1", "trainer.max_steps=5", "model.schedule=cosine"],
    ],
)
def test_a_setting_with_effect_is_not(defaults: Any, typed: list[str]) -> None:
    assert lines("fit", defaults, *typed) == []


def test_other_commands(defaults: Any) -> None:
    assert lines("predict", defaults, "model.learning_rate=1") == ["model.learning_rate has no effect with predict"]
    (line,) = lines("predict", defaults, "data.predict_path=a.txt.gz", "data.id_column=key")
    assert line.startswith("data.id_column has no effect with a .txt file")
    (line,) = lines("predict", defaults, "prediction.overwrite=true")
    assert line.startswith("prediction.overwrite has no effect with prediction.path -")


def test_a_file_may_be_shared_by_all_commands(defaults: Any) -> None:
    settings = defaults.clone()
    settings["model.learning_rate"] = 1.0
    settings["prediction.path"] = "own.csv"
    for command in UNUSED:
        assert list(unused_lines(command, [], settings, defaults)) == []
    settings["model.tuning"] = "head"  # but what `fit` would use otherwise was meant for it
    assert len(list(unused_lines("fit", [], settings, defaults))) == 1


def test_all_settings_of_the_tables_are_there(defaults: Any) -> None:
    known = {action.dest for command in UNUSED for action in parse(command)[1]._actions}
    blocks = {f"{key.rsplit('.', 1)[0]}." for key in known}
    named = [name for names in UNUSED.values() for name in names]
    named += [*NEVER, *(key for rule in RULES for key in rule.keys)]
    assert not [name for name in named if name not in known | blocks]


def test_help_lists_what_a_command_uses(capsys: pytest.CaptureFixture[str]) -> None:
    for command, without in (
        ("fit", ("--prediction.path", "--data.predict_path", "--evaluation.path", "--trainer.limit_predict_batches")),
        ("test", ("--prediction.path", "--model.learning_rate", "--trainer.max_epochs", "--early_stopping.patience")),
        ("predict", ("--model.learning_rate", "--checkpoint.monitor", "--data.train_size", "--evaluation.path")),
    ):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        printed = capsys.readouterr().out
        assert not [key for key in without if key in printed]
        assert not [key for key in without if is_listed(command, key[2:])]
        assert "--model.backbone" in printed
    assert "--prediction.path" in printed


def test_a_complete_configuration_is_taken_by_each_command(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--print_config"])
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    for command in UNUSED:
        settings, parser = parse(command, f"--config={tmp_path / 'config.yaml'}")
        assert list(unused_lines(command, typed_keys([]), settings, parser.get_defaults())) == []
