"""LightningCLI wires the data and the model to a Trainer: blocks of settings, links between them, and checks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from emotion_lit.errors import UserError
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.factory import restore
from emotion_lit.training import requeue
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint, best_checkpoint
from emotion_lit.training.callbacks.checkpoint_names import check_neighbors, check_unused
from emotion_lit.training.callbacks.early_stopping import EarlyStopping
from emotion_lit.training.callbacks.evaluation import Evaluation
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.callbacks.run_report import RunReport
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.run_folder import LOG, RunConfig, is_another_run
from emotion_lit.training.settings.bounds import check_bounds
from emotion_lit.training.settings.checkpoint_settings import Source, parse_with_checkpoint, typed_checkpoint
from emotion_lit.training.settings.parser import CONFIG_FLAGS, EmotionParser, configs_first, for_command
from emotion_lit.training.settings.structure import check_structure, settings_in_configs
from emotion_lit.training.settings.trainer_setup import LOGS, TRAINER_DEFAULTS, TrainerSetup
from emotion_lit.training.settings.unused_settings import report_unused, typed_keys
from emotion_lit.training.weight_averaging import check_resumable
from emotion_lit.utils import console, platforms
from emotion_lit.utils.commands import COMMANDS, PROGRAM
from emotion_lit.utils.files import why_not_writable

# Texts padded to multiples of 16 have at most eight lengths under the default data.max_length.
COMPILED_LENGTHS = 16


class EmotionCLI(LightningCLI):
    """Runs `fit`, `validate`, `test` or `predict`, for the command line and for Python.

    The settings stored in a checkpoint are defaults, which given settings override.

    Args:
        args: The words of a command line, or settings as a mapping, `{"subcommand": "fit", "fit": {...}}`.
        typed: The words that identify the command; by default those of the command line.
        callbacks: Callbacks besides those of the settings.
    """

    shown_command: str | None = None  # in the usage, if it is not the one that is parsed

    def __init__(
        self, args: ArgsType, typed: Sequence[str] | None = None, callbacks: Sequence[pl.Callback] = ()
    ) -> None:
        self.callbacks = list(callbacks)
        self.typed = list(typed if typed is not None else args if isinstance(args, list) else [])
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
        """Only the command that was typed, because building the parser of a command takes a sixth of a second."""
        every = LightningCLI.subcommands()
        return {name: skipped for name, skipped in every.items() if name in self.typed[:1]} or every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the blocks of the callbacks, and links the model's settings to those of the data."""
        parser.add_argument(
            "--name", type=str, default="emotion", help="Name of the run; its folder is logs/<name>/version_N."
        )
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(RunReport, "report")
        parser.add_lightning_class_args(Evaluation, "evaluation")
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        # Early stopping runs after validation: with max_steps, an epoch may end without one.
        parser.set_defaults({"early_stopping.check_on_train_epoch_end": False})
        parser.link_arguments("model.backbone", "data.backbone")
        parser.link_arguments("data.multi_label", "model.multi_label")
        parser.link_arguments(
            ("model.compile_encoder", "trainer.accelerator"),
            "data.pad_to_multiple_of",
            compute_fn=padding_multiple_for_run,
        )
        parser.link_arguments("data.label_names", "model.labels", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses the arguments; the settings of a checkpoint are the defaults.

        They are parsed twice if a configuration may name the checkpoint, and once if its name is typed.
        """
        for name in self.subcommands():
            for_command(self._parser(name), name, self.shown_command)
            if name == "predict":
                self._parser(name).set_defaults({"return_predictions": False})  # predictions are written batch by batch
            elif name != "fit":
                self._parser(name).set_defaults({"verbose": False})  # `Evaluation` prints a table
        command = next(iter(self.subcommands()))
        for_command(self.parser, command)
        given = args if isinstance(args, dict | Namespace) else configs_first(self.typed, COMMANDS)

        def parse() -> Namespace:
            return parser.parse_args(given) if isinstance(given, list) else parser.parse_object(given)

        self._check_structure(given)
        path = typed_checkpoint(given) if command == "predict" and isinstance(given, list) else None
        self.config = None if path else parse()
        if path is None:
            command = self.config["subcommand"]
            path = self._interrupted_run(command) or self.config[command].ckpt_path
        self.source = Source.read(path, command) if path else None
        if self.source:
            self.config = parse_with_checkpoint(
                self.source, command, self.typed, self._parser(command), self.config, parse
            )
        if command == "predict":
            self._agree_on_errors()

    def _check_structure(self, given: Any) -> None:
        """Checks the blocks of settings, of which jsonargparse ignores some."""
        for name in self.subcommands():
            parser: Any = self._parser(name)
            if isinstance(given, list):
                after = given[given.index(name) + 1 :] if name in given else []
                mappings = list(settings_in_configs(after, CONFIG_FLAGS))
            else:
                mappings = [given.get(name) or {}]
            for settings in mappings:
                check_structure(settings, parser.types())

    def _interrupted_run(self, command: str) -> str | None:
        """The checkpoint of the run that this job was training before it was started again."""
        if command != "fit":
            return None
        config = self.config[command]
        source = checkpoints.run_folder(config.ckpt_path) if config.ckpt_path else None
        root = Path(config.trainer.default_root_dir or (source.parent.parent if source else LOGS))
        names = {config.name or "", source.parent.name} if source else {config.name or ""}
        last = requeue.interrupted_run([root / name for name in names], self.typed)
        return str(last) if last else None

    def _agree_on_errors(self) -> None:
        """Sets `data.on_error` and `prediction.on_error`, which are synonyms for `predict`, to the same value."""
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

    def _parse_ckpt_path(self) -> None:
        """Does nothing; in Lightning's method the settings of a checkpoint override those that are given."""

    def _dump_config(self) -> None:
        """Skips the dump for `save_hyperparameters`, which is not used, and which takes a quarter of a second."""
        self.config_dump: dict[str, Any] = {}

    def before_instantiate_classes(self) -> None:
        """Rejects settings that cannot work."""
        config, defaults = self.config[self.subcommand], self._parser(self.subcommand).get_defaults()
        report_unused(str(self.subcommand), self.typed, config, defaults)
        console.enable_bars(config.trainer.enable_progress_bar is not False)
        if self.subcommand != "fit" and not self.source:
            raise UserError(f"{self.subcommand} needs a trained model; give --ckpt_path logs/.../checkpoints/best.ckpt")
        if self.subcommand != "fit" and (run := checkpoints.run_folder(config.ckpt_path)):
            console.keep_log(run / LOG, only_if_lost=True)
        if self.subcommand == "fit" and self.source and "optimizer_states" not in self.source.checkpoint:
            raise UserError("this checkpoint has only the model; resume from last.ckpt in the same folder")

    def after_instantiate_classes(self) -> None:
        """Builds the network for a checkpoint, or loads an export; `predict` also loads the weights."""
        if self.source and self.source.exported:
            export = self.source.exported.load(self.model.settings.backbone, self.model.decision)
            self.model.predict_with(export.engine, export.tokenizer, export.weights_sha256)
        elif self.source and self.subcommand == "predict":
            settings = self.model.settings
            self.model.load_trained(restore(self.source.checkpoint, merge_adapters=True, settings=settings))
        elif self.source:
            self.model.build(self.source.checkpoint)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Removes the checkpoint path for `predict`, which has already loaded the weights."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        return {**kwargs, "ckpt_path": None} if subcommand == "predict" else kwargs

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Adds the callbacks of each command, the precision that suits the hardware, and the run folder."""
        command = str(self.subcommand)
        setup = TrainerSetup(command, self.config[command], self.config_init[command].trainer, self.source, self.typed)
        if not setup.keeps_run:
            self.save_config_callback = None
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": [*setup.callbacks(), *self.callbacks]}
        create = super().instantiate_trainer
        return setup.create(lambda **arguments: create(**kwargs, **arguments))

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        if config["barebones"] and self.subcommand == "fit":
            callbacks = []
        elif config["barebones"] or config["enable_checkpointing"] is False:
            callbacks = [one for one in callbacks if not isinstance(one, Checkpoint)]
        return super()._instantiate_trainer(config, callbacks)

    def before_fit(self) -> None:
        """Rejects callbacks that cannot work, before the run folder is changed."""
        config = self.config.fit
        self.model.check_callbacks(self.trainer)
        if keeper := best_checkpoint(self.trainer):
            check_neighbors(self.trainer, keeper)
            if keeper.dirpath and (reason := why_not_writable(Path(keeper.dirpath))):
                raise UserError(f"checkpoint.dirpath {keeper.dirpath} cannot be written: {reason}")
            if not self.source or is_another_run(config, self.source.checkpoint):
                check_unused(keeper.dirpath)
        if self.source:
            run = checkpoints.run_folder(config.ckpt_path)
            check_resumable(self.trainer, self.source.checkpoint, run / "config.yaml" if run else None)


def padding_multiple_for_run(compiled: bool, accelerator: Any) -> int:
    """The multiple of tokens to pad texts to, by compilation and device."""
    return COMPILED_LENGTHS if compiled else platforms.padding_multiple(platforms.device_type(accelerator))
