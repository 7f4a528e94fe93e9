"""Prints a summary of a run before it starts: the model, the trainable parameters, and the data."""

import sys

import lightning.pytorch as pl
import torch

from emotion_lit import __version__
from emotion_lit.model.parameters import parameter_counts
from emotion_lit.reporting.score_tables import shortened, split_rows
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.utils.console import say
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.names import dataset_name


class RunSummary(pl.Callback):
    """Prints the model, its trainable parameters, and the number of rows of each split and class."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the summary."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        if not trainer.is_global_zero:
            return
        trained, total = parameter_counts(model)
        device = model.device.type
        threads = f", {torch.get_num_threads()} threads" if device == "cpu" else f" x {trainer.world_size}"
        say(
            f"\nemotion_lit {__version__} on {device}{threads}, {trainer.precision}\n"
            f"model  {model.settings.backbone}, tuning {model.settings.tuning}, pooling {model.settings.pooling}: "
            f"{trained:,} of {total:,} parameters are trainable ({trained / total:.1%})\n"
            f"data   {data_lines(data)}"
        )
        print_warnings(data)


def print_warnings(data: EmotionDataModule) -> None:
    """Prints the warnings about the data, one on each line."""
    for warning in data.describe()["warnings"]:
        say(f"warning: {warning}")


def data_lines(data: EmotionDataModule) -> str:
    """The name of the dataset, the duplicates that were removed, and a table of the rows of each class and split."""
    described = data.describe()
    removed = described["duplicates_removed"]
    left, of_train = "", removed.get("held_out", 0) + removed.get("repeated", 0)
    if of_train:
        left = (
            f"; {of_train:,} duplicates were removed from train "
            f"({removed['held_out']:,} of them also occur in validation or test)"
        )
    if removed.get("validation"):
        left += f"; {removed['validation']:,} were removed from validation, because they also occur in test"
    rows = shortened(split_rows(described), "in the report")
    return f"{dataset_name(described)}{left}\nlabels: {described['labels_read']}\n\n{table(rows, sys.stderr)}\n"
