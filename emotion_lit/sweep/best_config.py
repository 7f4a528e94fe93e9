"""The best configuration of a sweep, as a file that `fit` takes, and the command that trains it on all rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emotion_lit.training.settings.mapping import nested_settings
from emotion_lit.utils.commands import PROGRAM, command_line
from emotion_lit.utils.files import write_text

BEST_CONFIG = "best.yaml"
SIZES = ("data.train_size", "data.val_size", "data.test_size")


def write_best_config(
    folder: Path, settings: Mapping[str, Any], values: Mapping[str, Any], metric: str, value: float, trials: int
) -> Path:
    """Writes ``best.yaml``.

    Args:
        folder: The folder of the sweep.
        settings: The settings of all trials.
        values: Those of the best trial, by dotted key.
        metric: The metric that trials are compared by.
        value: Its value.
        trials: The number of trials.
    """
    text = yaml.safe_dump(nested_settings(settings, values), sort_keys=False, allow_unicode=True)
    file = folder / BEST_CONFIG
    write_text(file, f"# The best of {trials} trials of a sweep, with {metric} {value:.4f} on validation.\n{text}")
    return file


def command_to_train(file: Path, name: str, own: Mapping[str, Any]) -> str:
    """The command that trains the best configuration on all rows.

    Args:
        file: The configuration.
        name: The name of the sweep.
        own: All settings of `fit`, by dotted key.
    """
    sizes = [word for key in SIZES if own[key] is not None for word in (f"--{key}", "100%")]
    return command_line(*PROGRAM, "fit", "--config", file, "--name", f"{name}_best", *sizes)
