"""Which settings have an effect: each command leaves some aside, and so does each way of training."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_lit.data.formats.files import data_suffix
from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

# A name that ends in a dot is a block.
TRAINING = (
    *("name", "checkpoint.", "last.", "early_stopping.", "report.", "data.train_size", "data.deduplicate"),
    *("model.learning_rate", "model.head_learning_rate", "model.weight_decay", "model.warmup", "model.schedule"),
    *("model.dropout", "model.label_smoothing", "model.class_weights", "model.cache_features", "model.compile_encoder"),
    *("trainer.max_epochs", "trainer.min_epochs", "trainer.max_steps", "trainer.min_steps", "trainer.max_time"),
    *("trainer.limit_train_batches", "trainer.overfit_batches", "trainer.val_check_interval"),
    *("trainer.check_val_every_n_epoch", "trainer.num_sanity_val_steps", "trainer.log_every_n_steps"),
    *("trainer.enable_checkpointing", "trainer.enable_model_summary", "trainer.accumulate_grad_batches"),
    *("trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.detect_anomaly"),
    *("trainer.reload_dataloaders_every_n_epochs", "trainer.default_root_dir", "trainer.logger"),
)
PREDICTION = ("prediction.", "data.predict_path", "data.id_column", "data.keep_columns")
LABELLED_DATA = (
    *("data.dataset", "data.config", "data.revision", "data.unknown_labels"),
    *("data.label_column", "data.label_columns", "data.label_separator", "data.labels"),
    *("data.train_size", "data.val_size", "data.test_size"),
    *("data.exclude_labels", "data.sources", "data.deduplicate", "data.batch_size", "data.seed", "data.num_workers"),
)
VALIDATION, TEST, PREDICT = (f"trainer.limit_{stage}_batches" for stage in ("val", "test", "predict"))
# What each command leaves aside. It stands in the configuration of every command, which therefore may be the same.
LEFT_ASIDE: dict[str, tuple[str, ...]] = {
    "fit": (*PREDICTION, "evaluation.", "trainer.inference_mode", TEST, PREDICT),
    "validate": (*TRAINING, *PREDICTION, TEST, PREDICT),
    "test": (*TRAINING, *PREDICTION, VALIDATION, PREDICT),
    "predict": (*TRAINING, *LABELLED_DATA, "evaluation.", VALIDATION, TEST),
}
# Of a trained model these cannot be changed, which is refused elsewhere.
FIXED = ("model.tuning", "model.pooling", "model.lora.", "model.trainable_layers", "data.multi_label", "data.classes")

Settings = Any  # by dotted key


@dataclass(frozen=True)
class Rule:
    """Settings that have no effect in a mode.

    Args:
        keys: The settings, or blocks of them.
        mode: Gives the mode in words, where it is on.
        instead: What has, or why.
        commands: For which commands the rule is.
    """

    keys: tuple[str, ...]
    mode: Callable[[Settings], str | None]
    instead: str = ""
    commands: tuple[str, ...] = ("fit",)


def _if(text: str, condition: Callable[[Settings], Any]) -> Callable[[Settings], str | None]:
    return lambda settings: text if condition(settings) else None


def _tuning(*modes: str) -> Callable[[Settings], str | None]:
    return lambda settings: f"tuning {settings['model.tuning']}" if settings["model.tuning"] in modes else None


def _file(key: str, *suffixes: str) -> Callable[[Settings], str | None]:
    """The kind of the file that a setting names, if it is one of these."""

    def mode(settings: Settings) -> str | None:
        path = str(settings[key])
        suffix = ".jsonl" if path == "sample" else data_suffix(Path(path))
        return (f"{key} sample" if path == "sample" else f"a {suffix} file") if suffix in suffixes else None

    return mode


def _lines_of_text(settings: Settings) -> str | None:
    return None if settings["data.separator"] else _file("data.predict_path", ".txt")(settings)


def _nothing_cached(settings: Settings) -> str | None:
    tuning, pooling = settings["model.tuning"], settings["model.pooling"]
    if tuning == "head":
        return "tuning head and pooling cls" if pooling == "cls" else None
    return f"tuning {tuning} of all layers" if settings["model.trainable_layers"] is None else None


def is_endless(settings: Settings) -> bool:
    """Whether nobody knows how many steps a training has.

    Args:
        settings: The settings of `fit`.
    """
    epochs, steps = settings["trainer.max_epochs"], settings["trainer.max_steps"]
    return epochs == -1 and (steps is None or steps == -1)


RULES = (
    Rule(("model.learning_rate",), _tuning("head"), "model.head_learning_rate does"),
    Rule(("model.lora.",), _tuning("head", "full"), "model.tuning lora takes it"),
    Rule(("model.trainable_layers",), _tuning("head"), "no layer of the encoder trains"),
    Rule(("model.cache_features",), _nothing_cached, "nothing that is frozen can be run once"),
    Rule(
        ("model.threshold",),
        _if("one class per text (data.multi_label false)", lambda settings: not settings["data.multi_label"]),
        "the most probable class is predicted",
        ("fit", "validate", "test", "predict"),
    ),
    Rule(
        ("model.label_smoothing",),
        _if("several classes per text (data.multi_label true)", lambda settings: settings["data.multi_label"]),
    ),
    Rule(
        ("model.schedule", "model.warmup"),
        _if("trainer.max_epochs -1", is_endless),
        "the number of steps is not known, and learning rates stay as they are",
    ),
    Rule(
        ("data.tokens_per_batch",),
        _if("data.batch_size", lambda settings: settings["data.batch_size"] is not None),
        "leave one of them out",
        ("fit", "validate", "test"),
    ),
    Rule(
        ("trainer.gradient_clip_algorithm",),
        _if("trainer.gradient_clip_val null or 0", lambda settings: not settings["trainer.gradient_clip_val"]),
    ),
    Rule(
        ("checkpoint.", "last."),
        _if("trainer.enable_checkpointing false", lambda settings: settings["trainer.enable_checkpointing"] is False),
        "no checkpoint is kept",
    ),
    Rule(
        ("checkpoint.monitor", "checkpoint.mode", "early_stopping."),
        _if("trainer.limit_val_batches 0", lambda settings: settings[VALIDATION] == 0),
        "nothing is validated",
    ),
    Rule(
        ("trainer.val_check_interval", "trainer.check_val_every_n_epoch", "trainer.num_sanity_val_steps"),
        _if("trainer.limit_val_batches 0", lambda settings: settings[VALIDATION] == 0),
        "nothing is validated",
    ),
    Rule(
        ("trainer.log_every_n_steps",),
        _if("trainer.logger false", lambda settings: settings["trainer.logger"] is False),
        "nothing is logged",
    ),
    Rule(
        ("early_stopping.check_finite",),
        _if("a score", lambda settings: not str(settings["early_stopping.monitor"]).endswith("loss")),
        "it is always finite; a training loss that is not ends the training",
    ),
    Rule(
        ("early_stopping.log_rank_zero_only",),
        _if("early_stopping.verbose false", lambda settings: not settings["early_stopping.verbose"]),
    ),
    Rule(
        ("trainer.benchmark",),
        lambda settings: None if _device(settings) == "cuda" else f"trainer.accelerator {_device(settings)}",
        "cuDNN runs on GPUs alone",
        ("fit", "validate", "test", "predict"),
    ),
    Rule(
        ("prediction.overwrite",),
        _if("prediction.path -", lambda settings: settings["prediction.path"] == "-"),
        commands=("predict",),
    ),
    Rule(
        ("data.id_column", "data.text_column"),
        _lines_of_text,
        "its lines have no columns, unless data.separator is set",
        ("predict",),
    ),
    *(
        Rule(keys, _file(path, *suffixes), "only tables of text have it", commands)
        for path, commands in (("data.dataset", ("fit", "validate", "test")), ("data.predict_path", ("predict",)))
        for keys, suffixes in (
            (("data.separator", "data.header"), (".jsonl", ".json", ".parquet", ".arrow")),
            (("data.encoding",), (".parquet", ".arrow")),
        )
    ),
)
# Settings of Lightning's that never have an effect here.
NEVER = {
    "trainer.use_distributed_sampler": "our own sampler shares rows out among processes",
    "trainer.sync_batchnorm": "encoders of texts have no batch norm",
    "trainer.model_registry": "models are kept in files; export --push_to_hub uploads one",
    "early_stopping.strict": "what is watched is checked before the training",
    "weights_only": "nothing in a checkpoint is ever run",
    "return_predictions": "predictions are written as they come",
    "trainer.enable_autolog_hparams": "the settings are kept in config.yaml and the checkpoint",
}


def _device(settings: Settings) -> str:
    return platforms.device_type(settings["trainer.accelerator"])


def is_listed(command: str, key: str) -> bool:
    """Whether the help of a command lists a setting.

    Args:
        command: The command.
        key: The setting's dotted key.
    """
    fixed = () if command == "fit" else FIXED
    return not any(_covers(name, key) for name in (*LEFT_ASIDE.get(command, ()), *fixed, *NEVER))


def _covers(name: str, key: str) -> bool:
    return key.startswith(name) or key == name.removesuffix(".") if name.endswith(".") else key == name


def typed_keys(words: Sequence[str]) -> list[str]:
    """The settings among the words of a command line.

    Args:
        words: The words.
    """
    options = (re.match(r"--([\w.]+)\+?(=|$)", word) for word in words)
    return list(dict.fromkeys(option[1] for option in options if option))


def say_without_effect(command: str, words: Sequence[str], settings: Settings, defaults: Settings) -> None:
    """Says in a line which settings of a person's have no effect.

    Args:
        command: The command.
        words: What was typed after it; settings that another command has stand in a shared file without a word.
        settings: All settings.
        defaults: What they would be; one with another value was typed, or stands in a configuration.
    """
    typed = typed_keys(words)
    for line in without_effect(command, typed, settings, defaults):
        say(line)


def without_effect(command: str, typed: Collection[str], settings: Settings, defaults: Settings) -> Iterator[str]:
    """The lines of `say_without_effect`.

    Args:
        command: The command.
        typed: The settings on the command line.
        settings: All settings.
        defaults: What they would be.
    """
    aside = [key for key in typed if any(_covers(name, key) for name in LEFT_ASIDE.get(command, ()))]
    if aside:
        yield _line(aside, command, "")
    for key, reason in NEVER.items():
        if key in typed or settings.get(key) != defaults.get(key):
            yield f"{key} has no effect: {reason}"
    for rule in RULES:
        mode = rule.mode(settings) if command in rule.commands else None
        if mode is None:
            continue
        keys = [
            key
            for key in _leaves(settings)
            if any(_covers(name, key) for name in rule.keys)
            and key not in aside
            and (key in typed or settings[key] != defaults[key])
        ]
        if keys:
            yield _line(keys, mode, rule.instead)


def _leaves(settings: Settings) -> Iterable[str]:
    return (key for key, _ in settings.items())


def _line(keys: Sequence[str], mode: str, instead: str) -> str:
    verb = "has" if len(keys) == 1 else "have"
    return f"{', '.join(keys)} {verb} no effect with {mode}" + (f"; {instead}" if instead else "")
