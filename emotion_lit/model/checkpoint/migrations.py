"""Brings checkpoints of earlier formats to the current one while they are read."""

from collections.abc import Callable

from emotion_lit.model.checkpoint.hashes import files_sha256
from emotion_lit.model.checkpoint.keys import FORMAT, KEY, MODEL_KEY, TRAINER_KEY, Checkpoint

# Settings of format 1 that have no effect any more: last.ckpt is saved after every epoch, in the folder of best.ckpt.
GONE = ("every_n_epochs", "dirpath")
# The state of the callback `BeforeFineTuning`; the first version kept scores in it instead of predictions.
BEFORE = "Baseline"


def _from_1(checkpoint: Checkpoint) -> None:
    """Adds what the first versions did not store: they trained all layers, and did not calibrate."""
    own, model = checkpoint[KEY], checkpoint.get(MODEL_KEY)
    own.setdefault("paths", {})
    own.setdefault("files_sha256", files_sha256(own["files"]))
    if isinstance(model, dict):
        model.setdefault("trainable_layers", None)
        model.setdefault("temperature", None)
        if "compile" in model:
            model["compile_encoder"] = model.pop("compile")
    trainer = checkpoint.get(TRAINER_KEY)
    if isinstance(trainer, dict) and isinstance(trainer.get("last"), dict):
        trainer["last"] = {key: value for key, value in trainer["last"].items() if key not in GONE}
    callbacks = checkpoint.get("callbacks")
    if isinstance(callbacks, dict) and "probabilities" not in (callbacks.get(BEFORE) or ()):
        callbacks.pop(BEFORE, None)


# How to get from each earlier format to the next one.
MIGRATIONS: dict[int, Callable[[Checkpoint], None]] = {1: _from_1}


def migrate(checkpoint: Checkpoint) -> None:
    """Brings a checkpoint to the current format, in place.

    Args:
        checkpoint: A checkpoint whose own part has the right types.
    """
    own = checkpoint[KEY]
    while own["format"] < FORMAT:
        MIGRATIONS[own["format"]](checkpoint)
        own["format"] += 1
