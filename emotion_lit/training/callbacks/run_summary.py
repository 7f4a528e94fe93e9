"""What a run is about to do, before it does it."""

import sys

import lightning.pytorch as pl
import torch

from emotion_lit import __version__
from emotion_lit.reporting.tables import some, split_rows
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.utils import platforms
from emotion_lit.utils.console import say
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.names import dataset_name


class Header(pl.Callback):
    """Prints the model, what trains, and the rows per split and class."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the header."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        if not trainer.is_global_zero:
            return
        trained, total = parameter_counts(model)
        device = model.device.type
        if device == "cpu" and platforms.lacks_cuda_build():
            say("note: this machine has an NVIDIA GPU, but its PyTorch has no CUDA; pytorch.org says which one has")
        threads = f", {torch.get_num_threads()} threads" if device == "cpu" else f" x {trainer.world_size}"
        say(
            f"\nemotion_lit {__version__} on {device}{threads}, {trainer.precision}\n"
            f"model  {model.settings.backbone}, tuning {model.settings.tuning}, pooling {model.settings.pooling}: "
            f"{trained:,} of {total:,} parameters train ({trained / total:.1%})\n"
            f"data   {data_lines(data)}"
        )
        say_warnings(data)


def say_warnings(data: EmotionDataModule) -> None:
    """Says what is odd about the data, a line each.

    Args:
        data: The data, prepared.
    """
    for warning in data.describe()["warnings"]:
        say(f"warning: {warning}")


def parameter_counts(model: pl.LightningModule) -> tuple[int, int]:
    """How many parameters train, and how many there are.

    Args:
        model: The model.
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)


def data_lines(data: EmotionDataModule) -> str:
    """The data set in a line, and the rows per class and split in a table.

    Args:
        data: The data, prepared.
    """
    described = data.describe()
    removed = described["duplicates_removed"]
    left, of_train = "", removed.get("held_out", 0) + removed.get("repeated", 0)
    if of_train:
        left = (
            f"; {of_train:,} texts left train as duplicates ({removed['held_out']:,} stand in validation or test too)"
        )
    if removed.get("validation"):
        left += f"; {removed['validation']:,} left validation, because they stand in test too"
    rows = some(split_rows(described), "in the report")
    return f"{dataset_name(described)}{left}\nlabels: {described['labels_read']}\n\n{table(rows, sys.stderr)}\n"
