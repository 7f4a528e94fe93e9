"""The Trainer of a command: its callbacks, plugins, precision, loggers and processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.plugins import CheckpointIO, Precision

from emotion_lit.errors import UserError
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.precision import choose_precision
from emotion_lit.training import launchers
from emotion_lit.training.callbacks.engine_choice import EngineChoice
from emotion_lit.training.callbacks.interruption import Interruption
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.training.callbacks.progress import EpochSummary, TextProgress
from emotion_lit.training.callbacks.resumption import check_resumed_processes
from emotion_lit.training.callbacks.shared_cores import SharedCores
from emotion_lit.training.checkpoint_io import AtomicCheckpointIO
from emotion_lit.training.devices import check_devices
from emotion_lit.training.fsdp import FSDP, ShardedStrategy
from emotion_lit.training.run_folder import is_another_run, loggers
from emotion_lit.training.settings.checkpoint_settings import Source
from emotion_lit.training.strategies import check_strategy
from emotion_lit.utils import console, platforms

# The folder of all runs, unless trainer.default_root_dir is another.
LOGS = "logs"
TRAINER_DEFAULTS = {
    "max_epochs": 3,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,  # the evaluation before fine-tuning runs through validation anyway
    "enable_model_summary": False,  # the run summary has the trainable parameters
    "use_distributed_sampler": False,  # the batch sampler already distributes the rows
}


@dataclass(frozen=True)
class TrainerSetup:
    """The Trainer of a command.

    Args:
        command: The command.
        config: Its settings.
        objects: The settings of the Trainer in which objects are made.
        source: The checkpoint, if there is one.
        typed: The words of the command line.
    """

    command: str
    config: Any
    objects: Any
    source: Source | None
    typed: Sequence[str]

    @property
    def keeps_run(self) -> bool:
        """Whether the command writes a run folder; trainer.barebones only measures the Trainer."""
        return self.command == "fit" and not self.config.trainer.barebones

    def callbacks(self) -> list[pl.Callback]:
        """The callbacks that have no settings of their own."""
        if self.keeps_run:
            from emotion_lit.training.callbacks.fitting import fit_callbacks

            return [SharedCores(), EpochSummary(), *self._progress_bar(), *fit_callbacks()]
        if self.command == "fit":
            console.say(
                "trainer.barebones only measures the Trainer: no checkpoint, no scores and no report are written"
            )
            return []
        callbacks: list[pl.Callback] = [SharedCores(), EpochSummary(), *self._progress_bar()]
        if self.command == "predict" and not self._is_export():
            callbacks.append(EngineChoice(Path(self.config.ckpt_path), bf16=self.config.trainer.precision is None))
        return callbacks

    def arguments(self) -> dict[str, Any]:
        """The arguments of the Trainer that follow from other settings, the checkpoint and the hardware."""
        config, plugins = self.config.trainer, _as_list(self.objects.plugins)
        arguments: dict[str, Any] = {"logger": False}
        alone = self._standard_stream() or platforms.one_device_only()
        if config.devices == "auto" and alone:
            arguments["devices"] = 1
        if config.precision is not None or not any(isinstance(plugin, Precision) for plugin in plugins):
            arguments["precision"] = choose_precision(self.command, config)
        if self.keeps_run:
            arguments |= self._run_folder()
        elif self.command != "fit":
            arguments["default_root_dir"] = str(Path(self.config.ckpt_path).parent)
            if self.source and self.source.exported:
                self.source.exported.check_engine(self.config.prediction.engine, self.config.prediction.quantize)
        if config.barebones and config.log_every_n_steps == TRAINER_DEFAULTS["log_every_n_steps"]:
            arguments["log_every_n_steps"] = 0
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        return {**arguments, "plugins": plugins}

    def create(self, create: Callable[..., pl.Trainer]) -> pl.Trainer:
        """Creates the Trainer.

        Args:
            create: Creates the Trainer from keyword arguments.

        Raises:
            UserError: Its settings do not fit each other, the machine, or the launcher of this process.
        """
        arguments = self.arguments()
        config = self.config.trainer
        launcher = launchers.detect_launcher(config.num_nodes)
        check_devices(config.accelerator, config.devices)
        check_strategy(config, compiled=self.command == "fit" and self.config.model.compile_encoder)
        if launcher and config.devices == "auto" and "devices" not in arguments:
            arguments["devices"], machines = launcher.layout()
            arguments["num_nodes"] = max(config.num_nodes, machines)
        if config.strategy == FSDP:
            arguments |= {"strategy": ShardedStrategy(), "inference_mode": False}
        try:
            if launcher and launcher.name == "srun":
                launchers.check_stray(Path(arguments.get("default_root_dir", ".")))
                arguments["plugins"] = [*arguments["plugins"], SLURMEnvironment(auto_requeue=False)]
            trainer = create(**arguments)
        except (MisconfigurationException, ModuleNotFoundError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"the Trainer rejects its settings: {reason}") from error
        launchers.check_launched_processes(launcher, trainer.num_devices * trainer.num_nodes)
        if trainer.global_rank:
            console.silence()
        if trainer.world_size > 1 and (stream := self._standard_stream()):
            raise UserError(
                f"{stream} one process, so predict runs on one device; leave out --trainer.devices and "
                "--trainer.num_nodes, or give --data.predict_path and --prediction.path"
            )
        if self.command == "fit":
            if self.source:
                check_resumed_processes(self.source.checkpoint, trainer.world_size)
            saving = [one for one in trainer.callbacks if isinstance(one, LastCheckpoint)]  # type: ignore[attr-defined]
            trainer.callbacks += [Interruption(self.typed, last) for last in saving]  # type: ignore[attr-defined]
        return trainer

    def _run_folder(self) -> dict[str, Any]:
        """The loggers; the folder of the first one is the run folder."""
        config, source = self.config, self.source
        folder = checkpoints.run_folder(config.ckpt_path) if config.ckpt_path else None
        root = config.trainer.default_root_dir or (folder.parent.parent if folder else LOGS)
        resumed = source is not None and not is_another_run(config, source.checkpoint)
        step = source.checkpoint["global_step"] if source else None
        return {
            "logger": loggers(self.objects.logger, str(root), config.name, config.ckpt_path if resumed else None, step),
            # In a SLURM job, Lightning resumes from any hpc_ckpt_N.ckpt in the working folder.
            "default_root_dir": str(Path(root) / config.name),
        }

    def _is_export(self) -> bool:
        return self.source is not None and self.source.exported is not None

    def _standard_stream(self) -> str | None:
        """The standard stream that several processes of `predict` cannot share; None if they use files."""
        if self.command != "predict":
            return None
        if self.config.data.predict_path == "-":
            return "standard input is read by"
        return "standard output is written by" if self.config.prediction.path == "-" else None

    def _progress_bar(self) -> list[pl.Callback]:
        """The progress bar, unless bars are disabled or the user has set another; a Trainer has at most one."""
        own = _as_list(self.objects.callbacks)
        off = self.objects.enable_progress_bar is False or self.objects.barebones
        return [] if off or any(isinstance(callback, ProgressBar) for callback in own) else [TextProgress()]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
