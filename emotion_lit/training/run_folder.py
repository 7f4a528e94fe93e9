"""The run folder: its path, its configuration and log, and the loggers that write to it."""

import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from emotion_lit.errors import UserError
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.checkpoint import LAST, PREVIOUS
from emotion_lit.model.checkpoint.schema import TRAINER
from emotion_lit.utils import console, distributed, nonfatal, platforms
from emotion_lit.utils.files import atomic_path, why_not_writable

# Everything that a run printed.
LOG = "run.log"
CURVES = "TensorBoard's curves"
# The settings with which a run is resumed, besides those of the model, the data and the Trainer.
RESUMED = ("seed_everything", "name", "checkpoint", "last", "report", "early_stopping")


class RunConfig(SaveConfigCallback):
    """Writes the configuration and the log to the run folder, and the Trainer's settings to last.ckpt."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Writes the configuration, and starts the log."""
        source = checkpoints.run_folder(self.config.ckpt_path) if self.config.ckpt_path else None
        self.config = self.config.clone()
        self.config.ckpt_path = None
        folder = trainer.log_dir  # a collective operation
        if source and folder:  # the folder where the run actually continues, whatever was typed
            self.config.trainer.default_root_dir = str(Path(folder).parent.parent)
        super().setup(trainer, pl_module, stage)
        with distributed.fail_together():
            if folder and trainer.is_global_zero:
                console.keep_log(Path(folder) / LOG)
                if source and source.resolve() != Path(folder).resolve():
                    _copy_from(source, Path(folder))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the settings with which the run can be resumed."""
        config = self.config.as_dict()
        kept = {key: config[key] for key in RESUMED}
        kept["trainer"] = {key: _plain(config["trainer"][key]) for key in TRAINER}
        kept["trainer"]["precision"] = str(trainer.precision)  # also if it was chosen by measuring
        checkpoint[checkpoints.TRAINER_KEY] = kept  # paths in it are made relative with the others


def _plain(value: Any) -> Any:
    return {"seconds": int(value.total_seconds())} if isinstance(value, timedelta) else value


def _copy_from(source: Path, folder: Path) -> None:
    """Copies the checkpoints and the TensorBoard files of the run that a new run starts from."""
    kept = [file for file in (source / "checkpoints").glob("*.ckpt") if file.name not in (LAST, PREVIOUS)]
    for file in (*kept, *source.glob("events.out.tfevents.*")):
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as unfinished:
            shutil.copyfile(file, unfinished)
    console.say(f"{folder} starts from {source}, which stays unchanged", wrap=False)


def is_another_run(config: Any, checkpoint: checkpoints.Checkpoint) -> bool:
    """Whether a run that starts from a checkpoint is a new run, because it has another name or root folder.

    Args:
        config: Its configuration.
        checkpoint: The checkpoint.
    """
    kept = checkpoint.get(checkpoints.TRAINER_KEY, {})
    run = checkpoints.run_folder(config.ckpt_path)
    root = config.trainer.default_root_dir
    moved = root is not None and run is not None and Path(root).resolve() != run.parent.parent.resolve()
    return moved or config.name != kept.get("name", config.name)


class NextVersion:
    """Creates the folder of the next version at once, so that jobs that start together have a folder each."""

    root_dir: str

    def _get_next_version(self) -> int:
        version: int = super()._get_next_version()  # type: ignore[misc]
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return version  # the folder of the first process is used
        while True:
            try:
                Path(self.root_dir, f"version_{version}").mkdir(parents=True)
            except FileExistsError:
                version += 1
            else:
                return version


class RunLogger(NextVersion, TensorBoardLogger):
    """TensorBoard's logger, with errors such as a full disk reported instead of raised."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Writes scalars."""
        self._try(lambda: super(RunLogger, self).log_metrics(metrics, step))

    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Writes settings."""
        self._try(lambda: super(RunLogger, self).log_hyperparams(params, metrics, step))

    def save(self) -> None:
        """Writes what is buffered."""
        self._try(super().save)

    def finalize(self, status: str) -> None:
        """Ends the file."""
        self._try(lambda: super(RunLogger, self).finalize(status))

    @staticmethod
    def _try(write: Callable[[], None]) -> None:
        with nonfatal.suppress(CURVES):
            write()


class FolderLogger(NextVersion, CSVLogger):
    """Provides the run folder, and logs nothing."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Does nothing."""

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    def save(self) -> None:
        """Does nothing."""

    def finalize(self, status: str) -> None:
        """Does nothing."""


def loggers(chosen: Any, folder: str, name: str, checkpoint: str | None, step: int | None = None) -> list[Logger]:
    """The loggers of a run. The folder of the first one is the run folder, for all files of the run.

    Args:
        chosen: The setting trainer.logger; None and True mean TensorBoard.
        folder: The folder of all runs.
        name: The name of the run.
        checkpoint: The checkpoint to resume from, if any; its run folder is used again.
        step: The global step to resume from.
    """
    if chosen is None or chosen is True:
        return [run_logger(folder, name, checkpoint, step=step)]
    own = [] if chosen is False else list(chosen) if isinstance(chosen, Iterable) else [chosen]
    if own and isinstance(own[0], TensorBoardLogger | CSVLogger):
        return own
    return [run_logger(folder, name, checkpoint, FolderLogger), *own]


def run_logger(
    folder: str,
    name: str,
    checkpoint: str | None,
    kind: type[RunLogger | FolderLogger] = RunLogger,
    step: int | None = None,
) -> RunLogger | FolderLogger:
    """The logger whose folder is the run folder; a resumed run continues in its own folder.

    Args:
        folder: The folder of all runs.
        name: The name of the run.
        checkpoint: The checkpoint to resume from, if any; its run folder is used again.
        kind: TensorBoard's logger, or one that logs nothing.
        step: The global step to resume from; TensorBoard hides what was logged after it.

    Raises:
        UserError: The folder is not writable.
    """
    version: str | None = None
    if checkpoint:
        run = checkpoints.run_folder(checkpoint)
        if run:
            run = run.absolute()
            folder, name, version = str(checkpoints.from_here(run.parent.parent)), run.parent.name, run.name
    if version is None:  # a new run
        platforms.check_folder_name("name", name)
    if reason := why_not_writable(Path(folder) / name):
        raise UserError(f"the run folder {folder}/{name} cannot be written: {reason}")
    if kind is RunLogger:
        return RunLogger(folder, name=name, version=version, default_hp_metric=False, purge_step=step)
    return FolderLogger(folder, name=name, version=version)
