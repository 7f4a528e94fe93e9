"""Settings without effect, by command and by mode; they are reported if the user has set them."""

import re
from collections.abc import Collection, Iterator, Sequence

from emotion_lit.training.settings.unused_rules import PREDICT, RULES, TEST, VALIDATION, Settings
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
LABELED_DATA = (
    *("data.dataset", "data.config", "data.revision", "data.unknown_labels"),
    *("data.label_column", "data.label_columns", "data.label_separator", "data.labels"),
    *("data.train_size", "data.val_size", "data.test_size"),
    *("data.exclude_labels", "data.sources", "data.deduplicate", "data.batch_size", "data.seed", "data.num_workers"),
)
# Settings that a command does not use. Every command accepts them, so that all can share one configuration.
UNUSED: dict[str, tuple[str, ...]] = {
    "fit": (*PREDICTION, "evaluation.", "trainer.inference_mode", TEST, PREDICT),
    "validate": (*TRAINING, *PREDICTION, TEST, PREDICT),
    "test": (*TRAINING, *PREDICTION, VALIDATION, PREDICT),
    "predict": (*TRAINING, *LABELED_DATA, "evaluation.", VALIDATION, TEST),
}
# Settings of a trained model, which no command but `fit` can change.
FIXED = ("model.tuning", "model.pooling", "model.lora.", "model.trainable_layers", "data.multi_label", "data.classes")

# Settings of Lightning's that never have an effect here.
NEVER = {
    "trainer.use_distributed_sampler": "our sampler distributes the rows",
    "trainer.sync_batchnorm": "text encoders have no batch normalization",
    "trainer.model_registry": "models are saved to files; export --push_to_hub uploads one",
    "early_stopping.strict": "the monitored metric is checked before training",
    "weights_only": "checkpoints are always read without running code from them",
    "return_predictions": "predictions are written to a file or stdout",
    "trainer.enable_autolog_hparams": "the settings are saved in config.yaml and in the checkpoint",
}


def is_listed(command: str, key: str) -> bool:
    """Whether the help of a command lists a setting.

    Args:
        command: The command.
        key: The setting's dotted key.
    """
    fixed = () if command == "fit" else FIXED
    return not any(_covers(name, key) for name in (*UNUSED.get(command, ()), *fixed, *NEVER))


def _covers(name: str, key: str) -> bool:
    return key.startswith(name) or key == name.removesuffix(".") if name.endswith(".") else key == name


def typed_keys(words: Sequence[str]) -> list[str]:
    """The settings among the words of a command line.

    Args:
        words: The words.
    """
    options = (re.match(r"--([\w.]+)\+?(=|$)", word) for word in words)
    return list(dict.fromkeys(option[1] for option in options if option))


def report_unused(command: str, words: Sequence[str], settings: Settings, defaults: Settings) -> None:
    """Prints a line about each setting that was given and has no effect.

    Settings of other commands are reported only if they are typed: a configuration may be shared by all commands.

    Args:
        command: The command.
        words: The words of the command line.
        settings: All settings.
        defaults: Their defaults; a setting with another value was given.
    """
    typed = typed_keys(words)
    for line in unused_lines(command, typed, settings, defaults):
        say(line)


def unused_lines(command: str, typed: Collection[str], settings: Settings, defaults: Settings) -> Iterator[str]:
    """The lines about settings without effect.

    Args:
        command: The command.
        typed: The settings on the command line.
        settings: All settings.
        defaults: Their defaults.
    """
    unused = [key for key in typed if any(_covers(name, key) for name in UNUSED.get(command, ()))]
    if unused:
        yield _line(unused, command, "")
    for key, reason in NEVER.items():
        if key in typed or settings.get(key) != defaults.get(key):
            yield f"{key} has no effect: {reason}"
    for rule in RULES:
        mode = rule.mode(settings) if command in rule.commands else None
        if mode is None:
            continue
        keys = [
            key
            for key, _ in settings.items()
            if any(_covers(name, key) for name in rule.keys)
            and key not in unused
            and (key in typed or settings[key] != defaults[key])
        ]
        if keys:
            yield _line(keys, mode, rule.instead)


def _line(keys: Sequence[str], mode: str, instead: str) -> str:
    verb = "has" if len(keys) == 1 else "have"
    return f"{', '.join(keys)} {verb} no effect with {mode}" + (f"; {instead}" if instead else "")
