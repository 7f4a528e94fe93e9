"""The metrics that a training can be watched by, and whether a larger or a smaller value of each is better."""

from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from emotion_lit.errors import UserError, unknown

Mode = Literal["min", "max"]
# What `ModelCheckpoint` offers beside metrics.
COUNTS = ("epoch", "step")


def better(metric: str) -> Mode:
    """Whether a larger or a smaller value of a metric is better: a loss is minimized.

    Args:
        metric: Its name, such as `val/loss`.
    """
    return "min" if "loss" in metric.rsplit("/", 1)[-1].split("_") else "max"


def check_monitors(trainer: pl.Trainer, metrics: list[str], complete: bool) -> None:
    """Checks that what callbacks watch exists, and that they look for its better end; before the training.

    Args:
        trainer: The Trainer, with its callbacks.
        metrics: The names of the metrics that the model logs.
        complete: Whether it logs no others, as a subclass may.

    Raises:
        UserError: A callback watches another name, or would keep what is worst.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if not isinstance(callback, ModelCheckpoint | EarlyStopping) or callback.monitor in (None, *COUNTS):
            continue
        where, watched = _key(callback), str(callback.monitor)
        measured = [name for name in metrics if name.startswith("val/") or _sees_training(callback)]
        if complete and watched not in measured:
            raise unknown(f"{where}monitor", watched, sorted(measured))
        if watched in metrics and callback.mode != better(watched):
            size = "smaller" if callback.mode == "max" else "larger"
            what = "leave it out" if hasattr(callback, "block") else f"give it mode {better(watched)}"
            raise UserError(f"{where}mode is {callback.mode}, but a {size} {watched} is better; {what}")


def _key(callback: Any) -> str:
    """What the settings of a callback are called."""
    block = getattr(callback, "block", None)  # ours have one on the command line
    return f"{block}." if block else f"the {type(callback).__name__} in trainer.callbacks: "


def _sees_training(callback: Any) -> bool:
    """Whether a callback looks at metrics of the training rows when they are there, at the end of an epoch."""
    if isinstance(callback, EarlyStopping):
        return bool(getattr(callback, "_check_on_train_epoch_end", None))
    return not hasattr(callback, "block")
