"""Range checks of settings, also of settings that contradict each other, before any work starts."""

import math
from pathlib import PurePosixPath
from typing import Any

from emotion_lit.errors import UserError

# The smallest valid values; other settings are checked by their own classes.
SMALLEST: dict[str, float] = {
    "seed_everything": 0,
    "last.every_minutes": 0,
    "early_stopping.patience": 0,
    "early_stopping.min_delta": 0,
    "trainer.num_nodes": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.log_every_n_steps": 0,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.reload_dataloaders_every_n_epochs": 0,
    "trainer.min_epochs": 0,
    "trainer.min_steps": 0,
}
LIMITS = {
    "validate": "trainer.limit_val_batches",
    "test": "trainer.limit_test_batches",
    "predict": "trainer.limit_predict_batches",
}
# Besides those of the data. An empty one is often a variable of the shell that is not set.
PLACES = (
    *("ckpt_path", "model.backbone", "prediction.path", "evaluation.path", "checkpoint.dirpath"),
    *("trainer.default_root_dir", "sweep.storage"),
)
LARGEST_SEED = 2**32 - 1


def check_bounds(command: str, settings: Any) -> None:
    """Checks the settings of a command.

    Args:
        command: The command.
        settings: The settings, by dotted key.

    Raises:
        UserError: One of them is out of its range, or contradicts another one.
    """
    for key, smallest in SMALLEST.items():
        value = settings.get(key)
        if isinstance(value, int | float) and not smallest <= value < math.inf:
            raise UserError(f"{key} is {value}; it should be at least {smallest:g}")
    if (seed := settings["seed_everything"]) > LARGEST_SEED:
        raise UserError(f"seed_everything is {seed}; it should be at most {LARGEST_SEED}")
    for unit in ("epochs", "steps"):
        least, most = settings[f"trainer.min_{unit}"], settings[f"trainer.max_{unit}"]
        if least is not None and most is not None and 0 <= most < least:
            raise UserError(
                f"trainer.min_{unit} is {least}, and trainer.max_{unit} is {most}; raise the one or lower the other"
            )
    if (own := LIMITS.get(command)) and settings[own] == 0:
        raise UserError(f"{own} is 0, and nothing would be done; leave it out")
    if settings["trainer.val_check_interval"] == 0:
        raise UserError("trainer.val_check_interval is 0; trainer.limit_val_batches 0 turns validation off")
    _check_places(settings)


def _check_places(settings: Any) -> None:
    for key in PLACES:
        if settings.get(key) == "":
            raise UserError(f"{key} is empty; give it a value, or leave it out")
    if not (settings["name"] or "").strip():
        raise UserError("name is empty; give the run a name, or leave it out")
    if ".." in PurePosixPath(settings["name"]).parts or settings["name"].startswith("/"):
        raise UserError(
            f"name is {settings['name']}, which is outside of the folder of runs; to write "
            "elsewhere, set trainer.default_root_dir"
        )
