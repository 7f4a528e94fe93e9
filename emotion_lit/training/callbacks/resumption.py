"""Resuming with other data or settings: which state of the checkpoint is kept, reset or rejected, with a notice."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, Timer

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import Checkpoint
from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.utils.console import say

STATE = "Resumption"


class Resumption(pl.Callback):
    """Compares the data and settings of a run with its checkpoint, before Lightning restores the state."""

    state_key = STATE

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stores the number of processes, which is not in the settings."""
        checkpoint[STATE] = {"processes": trainer.world_size}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Removes the state that does not fit the current data and settings."""
        if trainer.max_steps != -1:
            _close_epoch(checkpoint)
        self._compare_data(trainer, checkpoint)
        self._compare_metrics(trainer, checkpoint)
        _report_if_complete(trainer, checkpoint)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints a notice if no time is left."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timer) and (callback.time_remaining() or 1) <= 0:
                say("trainer.max_time is used up; for more training, give a larger --trainer.max_time")

    def _compare_data(self, trainer: pl.Trainer, checkpoint: Checkpoint) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, EmotionDataModule):
            return
        then = checkpoint.get(EmotionDataModule.__qualname__, {})
        now = data.state_dict()
        # Earlier versions stored the position in the epoch as a number, which Lightning stores too.
        changed = {part for part in now if isinstance(then.get(part), str) and then[part] != now[part]}
        if {"train", "batches"} & changed and _is_inside_an_epoch(checkpoint):
            _restart_epoch(checkpoint)
            say("the training rows or their batches have changed: the epoch starts over, with all rows")
        if {"train", "validation"} & changed:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, BestCheckpoint | EarlyStopping):
                    checkpoint["callbacks"].pop(callback.state_key, None)
            say("the training or validation rows have changed: the best score is reset")
        if "test" in changed:
            checkpoint["callbacks"].pop(BeforeFineTuning().state_key, None)
            say("the test rows have changed: the score before fine-tuning is discarded")

    def _compare_metrics(self, trainer: pl.Trainer, checkpoint: Checkpoint) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint["callbacks"].get(callback.state_key)
            if isinstance(callback, BestCheckpoint | EarlyStopping) and state is None:
                kept = [key for key in checkpoint["callbacks"] if key.startswith(type(callback).__qualname__)]
                if kept:
                    say(f"{type(callback).__qualname__} monitors {callback.monitor} from now on, and starts over")
            if isinstance(callback, EarlyStopping) and state is not None:
                state["patience"] = callback.patience  # Lightning would restore the earlier value
                trainer.should_stop |= state["wait_count"] >= callback.patience


def check_resumed_processes(checkpoint: Checkpoint, count: int) -> None:
    """Checks that a run is resumed with the same number of processes.

    Args:
        checkpoint: The checkpoint to resume from.
        count: The number of processes now.

    Raises:
        UserError: The number differs, so the batches of each step would too.
    """
    then = checkpoint.get(STATE, {}).get("processes", count)
    if then != count:
        raise UserError(
            f"the run was trained by {then} process{'es' * (then > 1)}, and its batches would differ with {count}; "
            f"resume with --trainer.devices {then}, or start a new run"
        )


def _progress(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lightning's progress: of the epochs, and of the batches in the last epoch."""
    loops = checkpoint["loops"]["fit_loop"]
    return loops["epoch_progress"], loops["epoch_loop.batch_progress"]


def _is_inside_an_epoch(checkpoint: Checkpoint) -> bool:
    epochs, batches = _progress(checkpoint)
    return bool(epochs["current"]["started"] > epochs["current"]["processed"] and batches["current"]["processed"])


def _close_epoch(checkpoint: Checkpoint) -> None:
    """Marks an epoch that was saved at its end as completed; with max_steps, Lightning would end it twice."""
    epochs, _ = _progress(checkpoint)
    current = epochs["current"]
    if current["processed"] == current["started"] > current["completed"]:
        for counts in (current, epochs["total"]):
            counts["completed"] = counts["processed"]
        _restart_epoch(checkpoint)


def _restart_epoch(checkpoint: Checkpoint) -> None:
    _, batches = _progress(checkpoint)
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["total"]["completed"] = batches["total"]["processed"]
    batches["is_last_batch"] = False


def _report_if_complete(trainer: pl.Trainer, checkpoint: Checkpoint) -> None:
    epochs, _ = _progress(checkpoint)
    done, most = epochs["current"]["processed"], trainer.max_epochs or -1
    if 0 < most <= done:
        say(f"all {most} epochs are already trained; for more, give a larger --trainer.max_epochs")
    elif 0 < trainer.max_steps <= checkpoint["global_step"]:
        say(f"all {trainer.max_steps} steps are already trained; for more, give a larger --trainer.max_steps")
    elif trainer.should_stop:
        say("early stopping has already ended the training; for more, give a larger --early_stopping.patience")
