"""The settings that a checkpoint stores, as defaults for the command that loads it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.keys import DATA_KEY, MODEL_KEY, TRAINER_KEY, Checkpoint


def stored_settings(checkpoint: Checkpoint, subcommand: str) -> dict[str, Any]:
    """The settings that a checkpoint stores, as defaults for the command line, by dotted key.

    Args:
        checkpoint: The checkpoint.
        subcommand: ``fit`` also takes the settings of the Trainer, so that a resumed run is the same run.
    """
    model, data = dict(checkpoint[MODEL_KEY]), dict(checkpoint[DATA_KEY])
    # Only the user decides where a run is written.
    trainer = {**checkpoint.get(TRAINER_KEY, {})}
    trainer["checkpoint"] = {k: v for k, v in trainer.get("checkpoint", {}).items() if k != "dirpath"}
    data["classes"] = model.pop("labels")
    del model["multi_label"]  # comes from the data
    settings: dict[str, Any] = {"model": model, "data": data}
    if subcommand == "fit":
        settings |= trainer
    elif subcommand == "predict":
        for key in ("separator", "encoding", "header", "on_error"):  # these describe the training files
            data.pop(key, None)
    flat = flatten(settings)
    for block in ("checkpoint", "early_stopping"):
        flat.pop(f"{block}.mode", None)  # follows the metric, which may be another now
    return flat


def check_folder(checkpoint: Checkpoint, file: Path, typed: str | None) -> str | None:
    """The folder of the best checkpoint of a resumed run: the one on the command line, or one inside the run folder.

    Args:
        checkpoint: The checkpoint to resume from.
        file: Its file.
        typed: What is typed, if anything.

    Raises:
        UserError: The run wrote elsewhere, which a checkpoint may not decide.
    """
    kept = checkpoint.get(TRAINER_KEY, {}).get("checkpoint", {}).get("dirpath")
    if typed or not kept:
        return typed
    run = Path(os.path.realpath(file)).parent.parent
    if Path(os.path.realpath(kept)).is_relative_to(run):
        return str(kept)
    raise UserError(
        f"the run kept its best checkpoint in {kept}, and no checkpoint may choose a folder outside its run; "
        f"add --checkpoint.dirpath {kept}, or another folder"
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key.

    Args:
        settings: The settings.
        prefix: What their keys begin with.
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value  # None too, which may have been set although the default is another value
    return flat
