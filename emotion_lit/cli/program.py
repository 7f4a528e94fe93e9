"""The command line: LightningCLI wires the data and the model to a Trainer."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins import CheckpointIO, Precision

from emotion_lit.cli import error_handling
from emotion_lit.data.settings import DATASET_SPECIFIC, is_same_dataset
from emotion_lit.errors import UserError, unknown
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.precision import choose_precision
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint, best_checkpoint
from emotion_lit.training.callbacks.early_stopping import EarlyStopping
from emotion_lit.training.callbacks.engine_choice import EngineChoice
from emotion_lit.training.callbacks.evaluation import Evaluation
from emotion_lit.training.callbacks.interruption import Interruption
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.callbacks.progress import EpochSummary, TextProgress
from emotion_lit.training.callbacks.resumption import check_processes
from emotion_lit.training.checkpoint_io import AtomicCheckpointIO
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.devices import check_accelerator
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.run_folder import LOG, RunConfig, is_another_run, loggers
from emotion_lit.training.settings.bounds import check_bounds
from emotion_lit.training.settings.parser import EmotionParser, configs_first, for_command
from emotion_lit.training.settings.unused_settings import say_without_effect, typed_keys
from emotion_lit.training.weight_averaging import check_goes_on
from emotion_lit.utils import console, launchers, library_logging, nonfatal, platforms, requeue
from emotion_lit.utils.commands import COMMANDS, HELP, PROGRAM, overview
from emotion_lit.utils.files import why_not_writable
from emotion_lit.utils.memory import keep_few_kernels, keep_freed_memory
from emotion_lit.utils.streams import open_streams

if TYPE_CHECKING:
    from emotion_lit.inference.export_loader import Exported

# Commands that are no stage of a Trainer.
TOOLS = ("export", "report", "cache")

TRAINER_DEFAULTS = {
    "max_epochs": 3,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,  # the baseline runs through validation anyway
    "enable_model_summary": False,  # the header says what trains
    "use_distributed_sampler": False,  # our sampler shards by itself
}


# The folder of all runs, unless trainer.default_root_dir is another.
LOGS = "logs"

# Texts padded to multiples of 16 have at most eight lengths under the default data.max_length.
COMPILED_LENGTHS = 16


class EmotionCLI(LightningCLI):
    """Our defaults and blocks, and checkpoints that remember settings without overruling what is typed."""

    def __init__(self, args: ArgsType = None) -> None:
        self.typed = sys.argv[1:] if args is None else list(args) if isinstance(args, list) else []
        super().__init__(
            EmotionClassifier,
            EmotionDataModule,
            save_config_callback=RunConfig,
            save_config_kwargs={"overwrite": True},
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=42,
            auto_configure_optimizers=False,
            parser_kwargs={"prog": " ".join(PROGRAM)},
            parser_class=EmotionParser,
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The typed command alone: the parser of each takes a sixth of a second to build."""
        every = LightningCLI.subcommands()
        return {name: skipped for name, skipped in every.items() if name in self.typed[:1]} or every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the blocks for callbacks, and links what the model takes from the data."""
        parser.add_argument("--name", default="emotion", help="Name of the run; its folder is logs/<name>/version_N.")
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(Evaluation, "evaluation")
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        parser.set_defaults(
            {
                # After a validation: at the end of training, max_steps may leave an epoch without one.
                "early_stopping.check_on_train_epoch_end": False,
            }
        )
        parser.link_arguments("model.backbone", "data.backbone")
        parser.link_arguments("data.multi_label", "model.multi_label")
        parser.link_arguments(
            ("model.compile_encoder", "trainer.accelerator"), "data.pad_to_multiple_of", compute_fn=_common_length
        )
        parser.link_arguments("data.label_names", "model.labels", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses, and where a checkpoint is given, once more with what it remembers as the defaults.

        A setting that is unset by default may stand as null in a configuration, as it does in the run's own; that is
        no reason to forget what the checkpoint learned. A null that is typed is a choice.
        """
        for name in self.subcommands():
            for_command(self._parser(name), name)
            if name == "predict":
                self._parser(name).set_defaults({"return_predictions": False})  # they are written as they come
            elif name != "fit":
                self._parser(name).set_defaults({"verbose": False})  # we print our own table
        for_command(self.parser, next(iter(self.subcommands())))
        if not isinstance(args, dict | Namespace):
            args = configs_first(self.typed, COMMANDS)
        self.config = self._parsed(parser, args)
        subcommand = self.config["subcommand"]
        path = self.config[subcommand].ckpt_path or self._interrupted_run(subcommand)
        self.checkpoint: checkpoints.Checkpoint | None = None
        self.exported: Exported | None = None
        if path:
            self._recall(path, subcommand, parser, args)
        if subcommand == "predict":
            self._agree_on_errors()

    def _recall(self, path: str, subcommand: str, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses once more with what a checkpoint remembers as the defaults."""
        file, checkpoint = self._read_checkpoint(path, subcommand)
        self.checkpoint = checkpoint
        remembered = checkpoints.remembered_settings(checkpoint, subcommand)
        if subcommand == "fit":
            typed = self.config.fit.checkpoint.dirpath
            remembered["checkpoint.dirpath"] = checkpoints.check_folder(checkpoint, file, typed)
        chosen = self._parser(subcommand)
        typed_here = typed_keys(self.typed)
        plain = {key: chosen.get_default(key) for key in remembered}
        chosen.set_defaults(remembered)
        self.config = self._parsed(parser, args)
        if self._judges_other_data(subcommand, remembered):
            forgotten = {key for key in remembered if key.removeprefix("data.") in DATASET_SPECIFIC}
            remembered = {key: value for key, value in remembered.items() if key not in forgotten}
            chosen.set_defaults({key: plain[key] for key in forgotten})
            self.config = self._parsed(parser, args)
        for key, value in remembered.items():
            if plain[key] is None and key not in typed_here and self.config[subcommand].get(key) is None:
                self.config[subcommand][key] = value
        self.config[subcommand].ckpt_path = str(file)

    def _judges_other_data(self, subcommand: str, remembered: dict[str, Any]) -> bool:
        """Whether a model is tested on other data than it was trained on, which have settings of their own."""
        if subcommand not in ("validate", "test"):
            return False
        trained_on = {key.removeprefix("data."): value for key, value in remembered.items()}
        return not is_same_dataset(self.config[subcommand].data, trained_on)

    def _agree_on_errors(self) -> None:
        """Gives both spellings of what `predict` does about bad rows the value of the one that is set."""
        config, both = self.config.predict, ("prediction.on_error", "data.on_error")
        if set(both) <= set(typed_keys(self.typed)) and config[both[0]] != config[both[1]]:
            raise UserError(
                f"{both[0]} is {config[both[0]]}, and {both[1]} is {config[both[1]]}; leave one of them out"
            )
        if "skip" in (config[both[0]], config[both[1]]):
            config[both[0]] = config[both[1]] = "skip"

    def _set_seed(self) -> None:
        check_bounds(str(self.subcommand), self.config[self.subcommand])
        super()._set_seed()

    @staticmethod
    def _parsed(parser: LightningArgumentParser, args: ArgsType) -> Namespace:
        return parser.parse_object(args) if isinstance(args, dict | Namespace) else parser.parse_args(args)

    def _read_checkpoint(self, path: str, subcommand: str) -> tuple[Path, checkpoints.Checkpoint]:
        if subcommand == "fit":
            return checkpoints.read_to_go_on(path)
        if subcommand == "predict" and checkpoints.is_export(path):
            from emotion_lit.inference.export_loader import Exported

            self.exported = Exported.read(path)
            return self.exported.folder, self.exported.as_checkpoint()
        file = checkpoints.find_checkpoint(path)
        return file, checkpoints.read_checkpoint(file)

    def _interrupted_run(self, subcommand: str) -> str | None:
        """The checkpoint of the run that this job was training when it was put back into the queue."""
        if subcommand != "fit":
            return None
        config = self.config[subcommand]
        last = requeue.interrupted_run(Path(config.trainer.default_root_dir or LOGS) / config.name, self.typed)
        if last:
            console.say(f"SLURM has started job {requeue.job_id()} again: going on from {last}")
        return str(last) if last else None

    def _parse_ckpt_path(self) -> None:
        """Does nothing: Lightning's own lets a checkpoint's settings beat what is typed."""

    def before_instantiate_classes(self) -> None:
        """Refuses what cannot work."""
        config, defaults = self.config[self.subcommand], self._parser(self.subcommand).get_defaults()
        say_without_effect(str(self.subcommand), self.typed, config, defaults)
        console.enable_bars(self.config[self.subcommand].trainer.enable_progress_bar is not False)
        if self.subcommand != "fit" and not self.checkpoint:
            raise UserError(f"{self.subcommand} needs a trained model; give --ckpt_path logs/.../checkpoints/best.ckpt")
        if self.subcommand != "fit" and (run := checkpoints.run_folder(self.config[self.subcommand].ckpt_path)):
            console.keep_log(run / LOG, only_if_lost=True)
        if self.subcommand == "fit" and self.checkpoint and "optimizer_states" not in self.checkpoint:
            raise UserError("this checkpoint keeps the model alone; training goes on from last.ckpt beside it")

    def after_instantiate_classes(self) -> None:
        """Builds the network for the checkpoint, which may need no base model, or takes that of an export."""
        if self.exported:
            self.exported.attach(self.model)
        elif self.checkpoint:
            self.model.build(self.checkpoint)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Lets the Trainer load no weights where an export brings a whole network."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        return {**kwargs, "ckpt_path": None} if self.exported else kwargs

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Adds the callbacks of each subcommand, the precision that suits the hardware, and the run folder."""
        config = self.config[self.subcommand]
        callbacks: list[pl.Callback] = [EpochSummary(), *self._progress_bar()]
        alone = _standard_stream(str(self.subcommand), config) or platforms.one_device_only()
        if config.trainer.devices == "auto" and alone:
            kwargs["devices"] = 1
        plugins = _as_list(self.config_init[self.subcommand].trainer.plugins)
        if config.trainer.precision is not None or not any(isinstance(plugin, Precision) for plugin in plugins):
            kwargs["precision"] = choose_precision(str(self.subcommand), config.trainer)
        if config.trainer.barebones and self.subcommand == "fit":
            callbacks = []  # it measures the Trainer alone
            self._keep_nothing(kwargs)
        elif self.subcommand == "fit":
            from emotion_lit.training.callbacks.fitting import fit_callbacks

            callbacks += fit_callbacks()
            source = checkpoints.run_folder(config.ckpt_path) if config.ckpt_path else None
            root = config.trainer.default_root_dir or (source.parent.parent if source else LOGS)
            goes_on = self.checkpoint and not is_another_run(config, self.checkpoint)
            own = self.config_init.fit.trainer.logger
            step = self.checkpoint["global_step"] if self.checkpoint else None
            kwargs["logger"] = loggers(own, str(root), config.name, config.ckpt_path if goes_on else None, step)
            # Inside a job of SLURM's, Lightning goes on from any hpc_ckpt_N.ckpt that lies in the working folder.
            kwargs["default_root_dir"] = str(Path(root) / config.name)
        else:
            kwargs["default_root_dir"] = str(Path(config.ckpt_path).parent)
            if self.exported:
                self.exported.check_engine(config.prediction.engine, config.prediction.quantize)
            elif self.subcommand == "predict":
                callbacks.append(EngineChoice(Path(config.ckpt_path), bf16=config.trainer.precision is None))
            kwargs["logger"] = False
            self.save_config_callback = None
        if config.trainer.barebones and config.trainer.log_every_n_steps == TRAINER_DEFAULTS["log_every_n_steps"]:
            kwargs["log_every_n_steps"] = 0
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        kwargs["plugins"] = plugins
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": callbacks}
        return self._trainer(config.trainer, kwargs)

    def _trainer(self, config: Any, kwargs: dict[str, Any]) -> pl.Trainer:
        """The Trainer, for the processes that have been started.

        Raises:
            UserError: Its settings contradict each other, the machine, or what started this process.
        """
        launcher = launchers.settle(config.num_nodes)
        check_accelerator(config.accelerator)
        try:
            if launcher and launcher.name == "srun":
                launchers.check_stray(Path(kwargs.get("default_root_dir", ".")))
                kwargs["plugins"] = [*kwargs["plugins"], SLURMEnvironment(auto_requeue=False)]
            trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ModuleNotFoundError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"the Trainer refuses its settings: {reason}") from error
        launchers.check_processes(launcher, trainer.num_devices * trainer.num_nodes)
        if trainer.global_rank:
            console.silence()
        if trainer.world_size > 1 and (stream := _standard_stream(str(self.subcommand), self.config[self.subcommand])):
            raise UserError(
                f"{stream} one process, so predict runs on one device; leave out --trainer.devices and "
                "--trainer.num_nodes, or give --data.predict_path and --prediction.path"
            )
        if self.subcommand == "fit":
            if self.checkpoint:
                check_processes(self.checkpoint, trainer.world_size)
            saving = [one for one in trainer.callbacks if isinstance(one, LastCheckpoint)]  # type: ignore[attr-defined]
            trainer.callbacks += [Interruption(self.typed, last) for last in saving]  # type: ignore[attr-defined]
        return trainer

    def _keep_nothing(self, kwargs: dict[str, Any]) -> None:
        """Leaves the run without a folder, which trainer.barebones has no use for."""
        kwargs["logger"] = False
        self.save_config_callback = None
        console.say("trainer.barebones measures the Trainer alone: no checkpoint, no scores and no report are made")

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        if config["barebones"] and self.subcommand == "fit":
            callbacks = []
        elif config["barebones"] or config["enable_checkpointing"] is False:
            callbacks = [one for one in callbacks if not isinstance(one, Checkpoint)]
        return super()._instantiate_trainer(config, callbacks)

    def before_fit(self) -> None:
        """Refuses callbacks that cannot work, before the run folder is touched."""
        self.model.check_callbacks(self.trainer)
        if keeper := best_checkpoint(self.trainer):
            keeper.check_names(self.trainer)
            if keeper.dirpath and (reason := why_not_writable(Path(keeper.dirpath))):
                raise UserError(f"checkpoint.dirpath {keeper.dirpath} cannot be written: {reason}")
            if not self.checkpoint or is_another_run(self.config.fit, self.checkpoint):
                keeper.check_free()
        if self.checkpoint:
            run = checkpoints.run_folder(self.config.fit.ckpt_path)
            check_goes_on(self.trainer, self.checkpoint, run / "config.yaml" if run else None)

    def _progress_bar(self) -> list[pl.Callback]:
        """Ours, unless bars are off or the user has one of their own; a Trainer takes one only."""
        trainer = self.config_init[str(self.subcommand)].trainer
        own = _as_list(trainer.callbacks)
        if (
            trainer.enable_progress_bar is False
            or trainer.barebones
            or any(isinstance(callback, ProgressBar) for callback in own)
        ):
            return []
        return [TextProgress()]


def _standard_stream(subcommand: str, config: Any) -> str | None:
    """The stream that several processes of `predict` cannot share; None where there is none."""
    if subcommand != "predict":
        return None
    if config.data.predict_path == "-":
        return "standard input is read by"
    return "standard output is written by" if config.prediction.path == "-" else None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _common_length(compiled: bool, accelerator: Any) -> int:
    return COMPILED_LENGTHS if compiled else platforms.common_length(platforms.device_type(accelerator))


def main(args: ArgsType = None) -> EmotionCLI | None:
    """Runs a command; a mistake of the user's ends it with one line and exit code 2.

    Args:
        args: The arguments; by default those of the process.

    Returns:
        The data, the model and the Trainer of a command that has them.

    Raises:
        KeyboardInterrupt: It was interrupted; how to go on has been said.
    """
    open_streams()
    console.begin_log()
    nonfatal.clear()
    if launchers.is_orphan():  # it would run the command by itself, beside one that was started again
        raise SystemExit(0)
    if launchers.is_child():
        platforms.end_with_parent()
        console.silence()
    library_logging.hush()
    keep_few_kernels()
    keep_freed_memory()
    platforms.keep_to_cpu_quota()
    typed = sys.argv[1:] if args is None else args
    if typed in HELP:
        sys.stdout.write(overview())
        raise SystemExit(0)
    with error_handling.in_one_line(typed if isinstance(typed, list) else []):
        return _run(typed, args)


def _run(typed: Any, args: ArgsType) -> EmotionCLI | None:
    if isinstance(typed, list):
        _check_encoding(typed)
        command = typed[0]
        if command in TOOLS:
            importlib.import_module(f"emotion_lit.cli.{command}").main(typed[1:])
            return None
        if command not in COMMANDS and not command.startswith("-"):
            raise unknown("the command", command, COMMANDS)
    return EmotionCLI(args)


def _check_encoding(words: Sequence[str]) -> None:
    """Refuses words that the locale has no letters for: no file could be named after them."""
    encoding = sys.getfilesystemencoding()
    odd = next((word for word in words if not word.isascii()), None)
    if encoding != "utf-8" and odd is not None:
        readable = os.fsencode(odd).decode("utf-8", "replace").encode("ascii", "backslashreplace").decode()
        raise UserError(f"the locale's encoding is {encoding}, which cannot write {readable}; set PYTHONUTF8=1")
