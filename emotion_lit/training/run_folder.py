"""The folder of a run: where it is, and its configuration and log."""

import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from emotion_lit.errors import UserError
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.checkpoint import LAST, PREVIOUS
from emotion_lit.model.checkpoint.schema import TRAINER
from emotion_lit.utils import console, distributed, nonfatal, platforms
from emotion_lit.utils.files import atomic_path, why_not_writable

# What a run has said, in its folder.
LOG = "run.log"
CURVES = "TensorBoard's curves"


class RunConfig(SaveConfigCallback):
    """Keeps the configuration and the log in the run folder, and what concerns the Trainer in the last checkpoint."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Writes the configuration, with which a new run begins, and from now on the log."""
        source = checkpoints.run_folder(self.config.ckpt_path) if self.config.ckpt_path else None
        self.config = self.config.clone()
        self.config.ckpt_path = None
        folder = trainer.log_dir  # asks all processes
        if source and folder:  # also where it goes on in the folder of the run, whatever was typed
            self.config.trainer.default_root_dir = str(Path(folder).parent.parent)
        super().setup(trainer, pl_module, stage)
        with distributed.fail_together():
            if folder and trainer.is_global_zero:
                console.keep_log(Path(folder) / LOG)
                if source and source.resolve() != Path(folder).resolve():
                    _begin_from(source, Path(folder))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what a resumed run needs to be the same run."""
        config = self.config.as_dict()
        kept = {key: config[key] for key in ("seed_everything", "name", "checkpoint", "last", "early_stopping")}
        kept["trainer"] = {key: _plain(config["trainer"][key]) for key in TRAINER}
        kept["trainer"]["precision"] = str(trainer.precision)  # what was measured, too
        checkpoint[checkpoints.TRAINER_KEY] = kept  # made portable with the rest


def _plain(value: Any) -> Any:
    return {"seconds": int(value.total_seconds())} if isinstance(value, timedelta) else value


def _begin_from(source: Path, folder: Path) -> None:
    """Gives a new run what another one has kept beside the checkpoint from which it begins."""
    begun = [file for file in (source / "checkpoints").glob("*.ckpt") if file.name not in (LAST, PREVIOUS)]
    for file in (*begun, *source.glob("events.out.tfevents.*")):
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as unfinished:
            shutil.copyfile(file, unfinished)
    console.say(f"{folder} begins with what {source} has trained, which stays as it is", wrap=False)


def is_another_run(config: Any, checkpoint: checkpoints.Checkpoint) -> bool:
    """Whether a run that goes on from a checkpoint gets a folder of its own, because of its name or its place.

    Args:
        config: Its configuration.
        checkpoint: The checkpoint.
    """
    kept = checkpoint.get(checkpoints.TRAINER_KEY, {})
    run = checkpoints.run_folder(config.ckpt_path)
    root = config.trainer.default_root_dir
    moved = root is not None and run is not None and Path(root).resolve() != run.parent.parent.resolve()
    return moved or config.name != kept.get("name", config.name)


class RunLogger(TensorBoardLogger):
    """TensorBoard's logger, which no full disk makes end a training."""

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


class FolderLogger(CSVLogger):
    """Gives a run its folder, and logs nothing."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Does nothing."""

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    def save(self) -> None:
        """Does nothing."""

    def finalize(self, status: str) -> None:
        """Does nothing."""


def loggers(chosen: Any, folder: str, name: str, checkpoint: str | None, step: int | None = None) -> list[Logger]:
    """The loggers of a run, of which the first one's folder is the run folder, where everything else goes too.

    Args:
        chosen: What is set as trainer.logger; None and True are TensorBoard's.
        folder: The folder of all runs.
        name: The name of the run.
        checkpoint: The checkpoint in whose run folder it goes on, if any.
        step: The step that it goes on from.
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
    """The logger whose folder is the run folder; a resumed run goes on in its own.

    Args:
        folder: The folder of all runs.
        name: The name of the run.
        checkpoint: The checkpoint in whose run folder it goes on, if any.
        kind: TensorBoard's, or one that logs nothing.
        step: The step that it goes on from; TensorBoard forgets what was logged from there on.

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
    if kind is RunLogger:
        return RunLogger(folder, name=name, version=version, default_hp_metric=False, purge_step=step)
    return FolderLogger(folder, name=name, version=version)
