"""`python -m emotion_lit sweep`: searches for better settings of `fit` within a budget."""

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from emotion_lit.data.settings import DataSettings
from emotion_lit.errors import UserError
from emotion_lit.model.precision import choose_precision
from emotion_lit.model.settings import ModelSettings
from emotion_lit.sweep.settings import SweepSettings
from emotion_lit.training import launchers
from emotion_lit.training.metrics import default_monitor
from emotion_lit.training.settings.bounds import check_bounds
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.mapping import nested_settings
from emotion_lit.training.settings.parser import load_yaml
from emotion_lit.training.settings.structure import check_structure
from emotion_lit.training.settings.trainer_setup import LOGS
from emotion_lit.training.settings.unused_settings import unused_lines
from emotion_lit.utils import console

if TYPE_CHECKING:
    from emotion_lit.sweep.space import Space

DEFAULT_TRIALS = 20
OWN = ("budget", "trials", "sweep")
# Settings whose checks need the labels of the data.
OF_LABELS = ("labels", "class_weights", "threshold")
# Settings with which there is no score to compare.
NO_SCORES = ("trainer.fast_dev_run", "trainer.barebones")


class SweepCLI(EmotionCLI):
    """Parses the settings of `fit`, with those of a sweep, and runs nothing.

    Args:
        args: The words after `sweep`.
    """

    shown_command = "sweep"

    def __init__(self, args: list[str]) -> None:
        super().__init__(["fit", *args])

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the settings of a sweep."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--budget", type=str | None, default=None, help="The time, such as 90s, 30min or 2h.")
        parser.add_argument(
            "--trials",
            type=int | None,
            default=None,
            help=f"The number of trials. Without a budget, {DEFAULT_TRIALS} by default.",
        )
        parser.add_class_arguments(SweepSettings, "sweep")

    def before_instantiate_classes(self) -> None:
        """Does nothing; each trial checks its settings."""

    def instantiate_classes(self) -> None:
        """Does nothing."""

    def after_instantiate_classes(self) -> None:
        """Does nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Does nothing."""

    @property
    def settings(self) -> Any:
        """All settings, by dotted key."""
        return self.config.fit

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings of `fit` that differ from their defaults, nested."""
        config = self.settings.clone()
        for key in [*(key for key in config.keys(branches=True) if key.split(".")[0] in OWN), "config"]:
            config.pop(key, None)
        text = self._parser("fit").dump(config, skip_unset=False, skip_default=True, skip_link_targets=True)
        settings = load_yaml(text)
        return settings if isinstance(settings, dict) else {}

    @property
    def searchable(self) -> list[str]:
        """The settings of `fit`, by dotted key."""
        parser: Any = self._parser("fit")
        return [key for key in parser.listed_settings() if key.split(".")[0] not in OWN]

    def check_values(self, space: "Space") -> None:
        """Checks the ends of each range and the values of each choice, as `fit` would.

        Prints a line about each setting that has no effect.

        Raises:
            UserError: A setting cannot have such a value.
        """
        from emotion_lit.sweep.space import extremes

        parser: Any = self._parser("fit")
        unused: list[str] = []
        for key, distribution in space.items():
            for value in extremes(distribution):
                settings = nested_settings(self.own_settings, {key: value})
                try:
                    check_structure(settings, parser.types())
                    parsed = parser.parse_object(settings)
                    check_bounds("fit", parsed)
                    _check_ranges(parsed)
                    _check_trainer(key, parsed)
                except UserError as error:
                    raise UserError(f"sweep.space: {key} cannot be {value!r}: {error}") from error
                unused += unused_lines("fit", [key], parsed, parsed)
        for line in dict.fromkeys(unused):
            console.say(f"sweep.space: {line}")


def _check_ranges(settings: Any) -> None:
    """Checks the ranges of the settings of model and data, which the parser does not know."""
    DataSettings(**_given(DataSettings, settings.data))
    ModelSettings(labels=["one", "other"], **_given(ModelSettings, settings.model))


def _check_trainer(key: str, settings: Any) -> None:
    """Checks a setting of the Trainer."""
    if not key.startswith("trainer."):
        return
    nothing = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    try:
        Trainer(**{**nothing, key.removeprefix("trainer."): settings[key]})
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from error


def _given(kind: type[DataSettings | ModelSettings], block: Any) -> dict[str, Any]:
    names = {field.name for field in fields(kind)} - set(OF_LABELS)
    return {name: value for name, value in block.as_dict().items() if name in names and value is not None}


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: The words after `sweep`.

    Raises:
        UserError: The extra is not installed, or a setting is refused.
    """
    started = time.time()
    if importlib.util.find_spec("optuna") is None:
        raise UserError('Optuna is not installed; type: pip install "emotion-lit[sweep]"')
    cli = SweepCLI(args)
    settings = cli.settings
    _check(settings)
    from emotion_lit.sweep.budget import parse_duration
    from emotion_lit.sweep.plan import SweepPlan
    from emotion_lit.sweep.run import Sweep
    from emotion_lit.sweep.space import default_space, read_space

    budget = parse_duration(settings.budget) if settings.budget is not None else None
    given = settings.sweep.space
    space = default_space(settings) if given is None else read_space(given, cli.searchable)
    if given is not None:
        cli.check_values(space)
    plan = SweepPlan(
        name=settings.name,
        root=Path(settings.trainer.default_root_dir or LOGS),
        settings=cli.own_settings,
        own=settings,
        space=space,
        metric=settings.checkpoint.monitor or default_monitor(settings.data.multi_label),
        precision=str(choose_precision("fit", settings.trainer)),
        seed=settings.seed_everything,
        trials=settings.trials if settings.trials or budget else DEFAULT_TRIALS,
        budget=budget,
        storage=settings.sweep.storage,
        pruning=settings.sweep.pruning,
        started=started,
    )
    Sweep(plan).run()


def _check(settings: Mapping[str, Any]) -> None:
    """Rejects settings that a sweep cannot have.

    Raises:
        UserError: There is one.
    """
    if settings["trials"] is not None and settings["trials"] < 1:
        raise UserError(f"--trials is {settings['trials']}; it should be at least 1")
    if settings["ckpt_path"]:
        raise UserError("sweep starts every trial from the encoder; leave out --ckpt_path")
    for key in NO_SCORES:
        if settings[key]:
            raise UserError(f"{key} leaves no scores to compare; leave it out")
    several = settings["trainer.devices"] not in ("auto", 1, "1") or settings["trainer.num_nodes"] != 1
    if several or launchers.detect_launcher() is not None:
        raise UserError(
            "a trial runs on one device, in one process; start the same command several times, with another "
            "CUDA_VISIBLE_DEVICES each, and they share the work"
        )
    monitor = settings["checkpoint.monitor"]
    if monitor is not None and not monitor.startswith("val/"):
        raise UserError(f"checkpoint.monitor is {monitor}; a sweep compares trials by a validation metric, val/...")
