"""Rules about settings that have no effect together with others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_lit.data.formats.files import data_suffix
from emotion_lit.utils import platforms

VALIDATION, TEST, PREDICT = (f"trainer.limit_{stage}_batches" for stage in ("val", "test", "predict"))
Settings = Any  # by dotted key


@dataclass(frozen=True)
class Rule:
    """Settings that have no effect in a mode, such as `tuning head`.

    Args:
        keys: The settings, or blocks of them.
        mode: Returns the name of the mode if it is on.
        instead: The reason, or what to use instead.
        commands: The commands that the rule applies to.
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
    """The format of the file that a setting names, if it is one of these."""

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
    """Whether the number of training steps is unknown.

    Args:
        settings: The settings of `fit`.
    """
    epochs, steps = settings["trainer.max_epochs"], settings["trainer.max_steps"]
    return epochs == -1 and (steps is None or steps == -1)


def _device(settings: Settings) -> str:
    return platforms.device_type(settings["trainer.accelerator"])


RULES = (
    Rule(("model.learning_rate",), _tuning("head"), "model.head_learning_rate has"),
    Rule(("model.lora.",), _tuning("head", "full"), "only model.tuning lora uses it"),
    Rule(("model.trainable_layers",), _tuning("head"), "no layer of the encoder trains"),
    Rule(("model.cache_features",), _nothing_cached, "only frozen layers can be cached"),
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
        "the number of steps is unknown, so the learning rates stay constant",
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
        "no checkpoint is saved",
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
        _if("metrics other than losses", lambda settings: not str(settings["early_stopping.monitor"]).endswith("loss")),
        "it is always finite; a training loss that is not finite stops the training",
    ),
    Rule(
        ("early_stopping.log_rank_zero_only",),
        _if("early_stopping.verbose false", lambda settings: not settings["early_stopping.verbose"]),
    ),
    Rule(
        ("trainer.benchmark",),
        lambda settings: None if _device(settings) == "cuda" else f"trainer.accelerator {_device(settings)}",
        "cuDNN runs on GPUs only",
        ("fit", "validate", "test", "predict"),
    ),
    Rule(
        ("prediction.actors", "prediction.dashboard"),
        _if("no prediction.cluster", lambda settings: settings["prediction.cluster"] is None),
        commands=("predict",),
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
        Rule(keys, _file(path, *suffixes), "it is for text files", commands)
        for path, commands in (("data.dataset", ("fit", "validate", "test")), ("data.predict_path", ("predict",)))
        for keys, suffixes in (
            (("data.separator", "data.header"), (".jsonl", ".json", ".parquet", ".arrow")),
            (("data.encoding",), (".parquet", ".arrow")),
        )
    ),
)
