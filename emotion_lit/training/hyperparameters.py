"""The hyperparameters of a run that TensorBoard shows under HPARAMS."""

import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.optim import parameter_groups
from emotion_lit.utils.names import shown

# The settings of the Trainer that are shown, and the names of the learning rates of the model's parts.
TRAINER_SETTINGS = ("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "precision")
LEARNING_RATES = {"encoder": "model/learning_rate", "head": "model/head_learning_rate"}
# The final scores by which runs can be sorted.
FINAL_METRICS = ("accuracy", "macro_f1", "loss", "ece")
LONGEST_VALUE = 100


def hyperparameters(trainer: pl.Trainer, report: dict[str, Any]) -> dict[str, int | float | str]:
    """The settings of a run as they took effect; numbers stay numbers, so that runs can be sorted by them."""
    model: Any = trainer.lightning_module
    found: dict[str, Any] = {f"model/{key}": value for key, value in report["model"].items()}
    found |= {f"data/{key}": value for key, value in report["data"]["settings"].items()}
    found |= {f"trainer/{key}": getattr(trainer, key) for key in TRAINER_SETTINGS}
    found |= {"trainer/devices": trainer.num_devices, "trainer/epochs": report["training"]["epochs"]}
    found["model/trainable_parameters"] = report["training"]["trainable_parameters"]
    dropouts = [one.p for one in model.built.encoder.modules() if isinstance(one, torch.nn.Dropout)]
    found["model/dropout"] = max(dropouts, default=0.0)
    for group in trainer.optimizers[0].param_groups if trainer.optimizers else ():
        part = group.get("name", "").split("/")[0]
        found[LEARNING_RATES.get(part, f"model/learning_rate_{part}")] = group["initial_lr"]
    return {key: _plain(value) for key, value in found.items()}


def effective_settings(model: EmotionClassifier) -> dict[str, float]:
    """The values of settings whose defaults depend on the encoder, by dotted key; its network is built."""
    dropouts = [one.p for one in model.built.modules() if isinstance(one, torch.nn.Dropout)]
    rates = {group["name"].split("_")[0]: group["lr"] for group in parameter_groups(model.built, model.settings)}
    found = {"model.dropout": max(dropouts, default=0.0)}
    found |= {"model.learning_rate": rates["encoder"]} if "encoder" in rates else {}
    return found | ({"model.head_learning_rate": rates["head"]} if "head" in rates else {})


def _plain(value: Any) -> int | float | str:
    if isinstance(value, bool):
        return str(value).lower()  # as a number it would be 0 or 1
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and Path(value).exists():
        return Path(os.path.normpath(value)).as_posix()  # each folder has one spelling
    return shown(str(value), LONGEST_VALUE)
