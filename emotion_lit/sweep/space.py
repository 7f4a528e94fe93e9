"""The search space: the settings that a sweep varies, and the values that they may have."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from emotion_lit.errors import UserError
from emotion_lit.training.settings.aliases import nearest

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Space = dict[str, Distribution]

RANGE = ("low", "high", "log", "step")
# Settings of the data that change neither the validation rows nor the classes.
DATA = ("data.train_size", "data.max_length", "data.tokens_per_batch", "data.batch_size")
# Blocks that can be searched as a whole. Other settings would change how trials are compared, or where they land.
BLOCKS = ("model.", "trainer.", "early_stopping.")
NOT_SEARCHED = {
    "model.backbone": "run a sweep for each encoder",
    "model.tuning": "run a sweep for each",
    "model.threshold": "`fit` chooses the thresholds on validation",
    "model.temperature": "`fit` fits it on validation",
    "trainer.default_root_dir": "the sweep's folder holds the trials",
    "trainer.devices": "a trial runs on one device",
    "trainer.num_nodes": "a trial runs on one device",
    "trainer.fast_dev_run": "it leaves no scores to compare",
    "trainer.barebones": "it leaves no scores to compare",
    "trainer.enable_checkpointing": "the best trial needs a checkpoint",
    "trainer.limit_val_batches": "all trials are compared on the same validation rows",
    "trainer.logger": "the sweep shows all trials in TensorBoard",
}
# Default ranges. Those of the encoder's learning rate cover the papers' values for wide and narrow encoders.
LEARNING_RATES = {"lora": (1e-4, 4e-3), "full": (1e-5, 5e-4)}
HEAD_LEARNING_RATES = {"head": (3e-4, 1e-2), "lora": (2e-4, 5e-3), "full": (2e-4, 5e-3)}
DROPOUTS = {"head": (0.0, 0.7), "lora": (0.0, 0.3), "full": (0.0, 0.3)}
WEIGHT_DECAYS = (1e-3, 0.3)
RANKS = (4, 8, 16, 32)


def default_space(settings: Mapping[str, Any]) -> Space:
    """The search space of a tuning mode, around the values of a configuration.

    Learning rates, weight decay, dropout, epochs and the size of batches; with ``lora`` also the rank, and with
    ``lora`` and ``full`` the pooling.

    Args:
        settings: The settings of `fit`, by dotted key.
    """
    tuning = settings["model.tuning"]
    space: Space = {}
    if tuning in LEARNING_RATES:
        space["model.learning_rate"] = _log(LEARNING_RATES[tuning], settings["model.learning_rate"])
    space["model.head_learning_rate"] = _log(HEAD_LEARNING_RATES[tuning], settings["model.head_learning_rate"])
    space["model.weight_decay"] = _log(WEIGHT_DECAYS, settings["model.weight_decay"])
    low, high = DROPOUTS[tuning]
    space["model.dropout"] = FloatDistribution(low, max(high, settings["model.dropout"] or 0.0))
    if tuning == "lora":
        space["model.lora.rank"] = CategoricalDistribution(sorted({*RANKS, settings["model.lora.rank"]}))
    if tuning != "head":  # with `cls`, every epoch would run the frozen encoder again
        space["model.pooling"] = CategoricalDistribution(["cls", "mean"])
    epochs = settings["trainer.max_epochs"]
    if epochs and epochs > 0 and settings["trainer.max_steps"] in (None, -1):
        space["trainer.max_epochs"] = IntDistribution(math.ceil(epochs / 2), 2 * epochs)
    size = "data.batch_size" if settings["data.batch_size"] else "data.tokens_per_batch"
    if isinstance(own := settings[size], int):
        space[size] = CategoricalDistribution([math.ceil(own / 2), own, 2 * own])
    return space


def _log(bounds: tuple[float, float], own: float | None) -> FloatDistribution:
    """A range on a logarithmic scale that includes the configuration's own value."""
    low, high = bounds
    return FloatDistribution(min(low, own or low), max(high, own or high), log=True)


def read_space(given: Mapping[str, Any], known: Collection[str]) -> Space:
    """Reads a search space from a configuration.

    A list is a choice between its values. A mapping with ``low`` and ``high`` is a range: of whole numbers if both
    are, on a logarithmic scale with ``log: true``, in steps with ``step``.

    Args:
        given: The space, by dotted key or nested.
        known: The dotted keys of all settings of `fit`.

    Raises:
        UserError: A setting does not exist or cannot be searched, or its values are no choice and no range.
    """
    space = {key: _distribution(key, value) for key, value in _flat(given).items()}
    for key in space:
        _check_key(key, known)
    if not space:
        raise UserError("sweep.space is empty; give it settings to search, or leave it out for the default space")
    return space


def _flat(given: Mapping[str, Any], block: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in given.items():
        is_block = isinstance(value, Mapping) and not set(value) & set(RANGE) and value
        flat |= _flat(value, f"{block}{key}.") if is_block else {f"{block}{key}": value}
    return flat


def _check_key(key: str, known: Collection[str]) -> None:
    if key not in known:
        near = nearest(key, known)
        raise UserError(f"sweep.space: there is no setting {key}" + (f". Did you mean {near}?" if near else ""))
    if key in NOT_SEARCHED:
        raise UserError(f"sweep.space: {key} cannot be searched; {NOT_SEARCHED[key]}")
    if key not in DATA and not key.startswith(BLOCKS):
        raise UserError(
            f"sweep.space: {key} cannot be searched, because trials would not be comparable; searchable are model.*, "
            f"trainer.*, early_stopping.*, {', '.join(DATA)}"
        )


def _distribution(key: str, value: Any) -> Distribution:
    if isinstance(value, list):
        return _choice(key, value)
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value) or set(value) - set(RANGE):
        raise UserError(
            f"sweep.space: {key} is {value!r}; give a list of values, or a range such as {{low: 0.1, high: 0.5}}, with "
            "log: true or step: 0.1 if wanted"
        )
    low, high, step, log = value["low"], value["high"], value.get("step"), value.get("log", False)
    for name, number in (("low", low), ("high", high), ("step", step)):
        if number is not None and (isinstance(number, bool) or not _is_finite(number)):
            raise UserError(f"sweep.space: {name} of {key} is {number!r}; it should be a number")
    if low is None or high is None or low >= high:
        raise UserError(f"sweep.space: low of {key} is {low}, and high is {high}; low should be the smaller one")
    if not isinstance(log, bool):
        raise UserError(f"sweep.space: log of {key} is {log!r}; it should be true or false")
    if log and (low <= 0 or step is not None):
        raise UserError(
            f"sweep.space: with log, {key} needs a low above 0 and no step; low is {low}, and step is {step}"
        )
    if step is not None and not 0 < step <= high - low:
        raise UserError(f"sweep.space: step of {key} is {step}; it should be above 0, and at most {high - low}")
    if all(isinstance(number, int) for number in (low, high, step or 1)):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=step)


def _is_finite(number: Any) -> bool:
    return isinstance(number, int | float) and math.isfinite(number)


def _choice(key: str, values: list[Any]) -> CategoricalDistribution:
    if odd := [one for one in values if one is not None and not isinstance(one, bool | int | float | str)]:
        raise UserError(f"sweep.space: {key} has the value {odd[0]!r}; values of a list are numbers or words")
    if len({(isinstance(one, bool), one) for one in values}) < max(2, len(values)):
        raise UserError(f"sweep.space: {key} is {values!r}; a list should have at least two different values")
    return CategoricalDistribution(values)


def extremes(distribution: Distribution) -> list[Any]:
    """The values by which a range or a choice is checked: both ends, or all."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]


def contains(distribution: Distribution, value: Any) -> bool:
    """Whether a value is in a range or a choice."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return _is_finite(value) and distribution.low <= value <= distribution.high


def suggest(trial: Trial, key: str, distribution: Distribution) -> Any:
    """A trial's value of a setting; numbers of ranges have three significant digits."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    return rounded(
        trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    )


def rounded(value: Any) -> Any:
    """A number with three significant digits, as `suggest` gives it to `fit`; other values are returned unchanged."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def suggest_own(trial: Trial, key: str, distribution: Distribution, value: Any) -> None:
    """Records the configuration's own value as that of a trial, if the space contains it.

    Args:
        trial: The trial of the configuration.
        key: The setting.
        distribution: Its range or choice. For a choice, the trial has been enqueued with the value.
        value: The value; None if it is not known.
    """
    if value is None or not contains(distribution, value):
        return
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(key, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(key, int(value), int(value), log=distribution.log)
    else:
        trial.suggest_float(key, float(value), float(value), log=distribution.log)


def described(distribution: Distribution) -> str:
    """A range or a choice in a few words."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    scale = (
        ", log" if distribution.log else f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
    )
    return f"{distribution.low:g} to {distribution.high:g}{scale}"
