"""Monitored metrics: which of them exist, and whether a larger or a smaller value is better."""

from collections.abc import Sequence
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say_once

Mode = Literal["min", "max"]
# What `ModelCheckpoint` can monitor besides metrics.
COUNTS = ("epoch", "step")


def monitor_mode(metric: str) -> Mode:
    """Whether a larger or a smaller value of a metric is better: a loss is minimized.

    Args:
        metric: Its name, such as `val/loss`.
    """
    return "min" if "loss" in metric.rsplit("/", 1)[-1].split("_") else "max"


def report_left_out(trainer: pl.Trainer, needed: Sequence[pl.Callback]) -> None:
    """Tells which callbacks of a model are missing, because a subclass has its own `configure_callbacks`.

    Args:
        trainer: The Trainer, with its callbacks.
        needed: The callbacks of the model.
    """
    missing = [type(one).__name__ for one in needed if one not in trainer.callbacks]  # type: ignore[attr-defined]
    if missing:
        say_once(
            f"configure_callbacks leaves out {' and '.join(missing)}: steps are slower, or train/loss_step is not "
            "logged; let it return [*super().configure_callbacks(), ...]"
        )


def check_monitors(trainer: pl.Trainer, metrics: list[str], complete: bool) -> None:
    """Checks, before training, that the metrics that callbacks monitor exist, and that their mode is right.

    Args:
        trainer: The Trainer, with its callbacks.
        metrics: The names of the metrics that the model logs.
        complete: Whether the model logs no other metrics; a subclass may.

    Raises:
        UserError: A callback monitors an unknown metric, or would keep the worst value.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if not isinstance(callback, ModelCheckpoint | EarlyStopping) or callback.monitor in (None, *COUNTS):
            continue
        where, monitored = _key(callback), str(callback.monitor)
        available = [name for name in metrics if name.startswith("val/") or _runs_after_training(callback)]
        if complete and monitored not in available:
            raise unknown(f"{where}monitor", monitored, sorted(available))
        if monitored in metrics and callback.mode != monitor_mode(monitored):
            size = "smaller" if callback.mode == "max" else "larger"
            what = "leave it out" if hasattr(callback, "block") else f"give it mode {monitor_mode(monitored)}"
            raise UserError(f"{where}mode is {callback.mode}, but a {size} {monitored} is better; {what}")


def _key(callback: Any) -> str:
    """The prefix of the settings of a callback in messages."""
    block = getattr(callback, "block", None)  # the callbacks of this package have settings on the command line
    return f"{block}." if block else f"the {type(callback).__name__} in trainer.callbacks: "


def _runs_after_training(callback: Any) -> bool:
    """Whether a callback runs at the end of a training epoch, where training metrics are available."""
    if isinstance(callback, EarlyStopping):
        return bool(getattr(callback, "_check_on_train_epoch_end", None))
    return not hasattr(callback, "block")
