"""The folder of a run: where it is, and its configuration and log."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from emotion_lit import console, platforms
from emotion_lit.errors import UserError
from emotion_lit.files import why_not_writable
from emotion_lit.model import checkpoint as checkpoints

# What a run has said, in its folder.
LOG = "run.log"

# Settings of the Trainer that decide the result of a run; the others belong to the machine it runs on.
REMEMBERED = (
    "max_epochs",
    "max_steps",
    "min_epochs",
    "min_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "precision",
    "limit_train_batches",
    "limit_val_batches",
    "val_check_interval",
    "check_val_every_n_epoch",
)


class RunConfig(SaveConfigCallback):
    """Keeps the configuration and the log in the run folder, and what concerns the Trainer in the last checkpoint."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Writes the configuration, and from now on the log."""
        super().setup(trainer, pl_module, stage)
        folder = trainer.log_dir  # asks all processes
        if folder and trainer.is_global_zero:
            console.keep_log(Path(folder) / LOG)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what a resumed run needs to be the same run."""
        config = self.config.as_dict()
        kept = {key: config[key] for key in ("seed_everything", "name", "checkpoint", "last", "early_stopping")}
        kept["trainer"] = {key: config["trainer"][key] for key in REMEMBERED}
        kept["trainer"]["precision"] = str(trainer.precision)  # what was measured, too
        checkpoint[checkpoints.TRAINER_KEY] = kept  # made portable with the rest


def run_logger(folder: str, name: str, checkpoint: str | None) -> TensorBoardLogger:
    """TensorBoard's logger, whose folder is the run folder; a resumed run goes on in its own.

    Args:
        folder: The folder of all runs.
        name: The name of the run.
        checkpoint: The checkpoint to go on from, if any.

    Raises:
        UserError: The folder cannot be written; said before the work starts.
    """
    version: str | None = None
    if checkpoint:
        run = checkpoints.run_folder(checkpoint)
        if run:
            run = run.absolute()
            folder, name, version = str(checkpoints.from_here(run.parent.parent)), run.parent.name, run.name
    if version is None:  # a run that has its folder goes on in it
        platforms.check_folder_name("name", name)
    if reason := why_not_writable(Path(folder) / name):
        raise UserError(f"the run folder {folder}/{name} cannot be written: {reason}")
    return TensorBoardLogger(folder, name=name, version=version, default_hp_metric=False)
