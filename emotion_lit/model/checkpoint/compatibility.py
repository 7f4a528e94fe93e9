"""Whether settings and a base model suit the weights of a checkpoint."""

from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.keys import KEY, MODEL_KEY, Checkpoint
from emotion_lit.utils.console import say

# The weights depend on these settings; others can be changed when a checkpoint is loaded.
FIXED_SETTINGS = ("labels", "multi_label", "tuning", "pooling", "lora", "trainable_layers")


def check_settings(settings: dict[str, Any], saved: dict[str, Any]) -> None:
    """Checks that a model's settings suit the weights of a checkpoint; prints a note if they change predictions.

    Args:
        settings: The model's settings.
        saved: The settings in the checkpoint.

    Raises:
        UserError: A setting differs that cannot be changed.
    """
    for key in FIXED_SETTINGS:
        if settings[key] != saved.get(key):
            raise UserError(
                f"the checkpoint was trained with model.{key} {saved.get(key)}, which cannot be changed to "
                f"{settings[key]}; leave it out, or train a new model"
            )
    threshold, temperature = settings["threshold"], settings["temperature"]
    kept = isinstance(threshold, list) and threshold == saved["threshold"]
    if settings["multi_label"] and kept and temperature != saved["temperature"]:
        say(
            f"model.temperature {temperature} changes which classes are predicted: the checkpoint's thresholds were "
            f"chosen with {saved['temperature']}"
        )


def check_identity(
    identity: dict[str, Any], saved: dict[str, Any], what: str = "the checkpoint", option: str = "model.backbone"
) -> None:
    """Checks that a backbone is the one that a checkpoint was trained on.

    Args:
        identity: The backbone's name and hashes.
        saved: The name and the hashes in the checkpoint.
        what: The subject of the error message.
        option: The setting that takes another backbone.

    Raises:
        UserError: It is another one.
    """
    for key, part in (("network_sha256", "weights"), ("tokenizer_sha256", "tokenizer")):
        if saved[key] != identity[key]:
            raise UserError(
                f"{what} was trained on the backbone {saved['name']} ({part} {saved[key][:12]}), but the "
                f"{part} of {identity['name']} are {identity[key][:12]}; give the original with {option}"
            )


def check_backbone(backbone: str, checkpoint: Checkpoint) -> None:
    """Checks that the folder of a base model still exists.

    Args:
        backbone: The backbone in the settings.
        checkpoint: The checkpoint that was trained on it.

    Raises:
        UserError: It does not.
    """
    was_folder = f"{MODEL_KEY}.backbone" in checkpoint[KEY].get("paths", {})
    if was_folder and backbone == checkpoint[MODEL_KEY]["backbone"] and not Path(backbone).is_dir():
        name = backbone.rsplit("/", 1)[-1] if backbone.startswith("..") else backbone
        raise UserError(
            f"the base model that the checkpoint was trained on, the folder {name} (weights "
            f"{checkpoint[KEY]['backbone']['network_sha256'][:12]}), is not where it was; give it with "
            "--model.backbone FOLDER"
        )
