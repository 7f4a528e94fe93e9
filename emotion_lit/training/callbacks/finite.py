"""Stops a training whose numbers have left the finite ones: nothing good comes of it, and it would be kept."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import LAST, PREVIOUS, from_here
from emotion_lit.training.callbacks.agreement import Agreement
from emotion_lit.training.callbacks.steps import batches_of_step
from emotion_lit.utils import distributed
from emotion_lit.utils.files import replace

ROWS_SHOWN, CHARACTERS_SHOWN = 8, 40


class FiniteLoss(pl.Callback):
    """Stops at a loss that is infinite or not a number, with the step and the rows that it is of.

    On a GPU, and with several processes, the first such batch is noted where the loss is, and asked for once a second.
    """

    def __init__(self) -> None:
        self._agreement = Agreement()
        self._bad: Tensor | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins anew."""
        self._bad = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the loss of a batch."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor):
            return
        if loss.device.type == "cpu" and trainer.world_size == 1:
            if not math.isfinite(loss):
                self._stop(trainer, batch_idx)
            return
        if self._bad is None:
            self._bad = torch.full((), -1, device=loss.device)
        self._bad = torch.where((self._bad < 0) & ~loss.detach().isfinite(), batch_idx, self._bad)
        if self._agreement.is_due(trainer):
            self._ask(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks before the model is scored and kept."""
        self._ask(trainer)
        with distributed.fail_together():
            check_weights(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks before the model is kept."""
        self._ask(trainer)

    def _ask(self, trainer: pl.Trainer) -> None:
        bad = -1 if self._bad is None else int(self._bad)
        with distributed.fail_together():
            if bad >= 0:
                self._stop(trainer, bad)

    def _stop(self, trainer: pl.Trainer, batch_idx: int) -> None:
        step = trainer.fit_loop.epoch_loop.total_batch_idx - trainer.fit_loop.epoch_loop.batch_idx + batch_idx
        step = step // trainer.accumulate_grad_batches + 1
        raise UserError(
            f"the loss is not a finite number at step {step} (batch {batch_idx + 1} of epoch "
            f"{trainer.current_epoch + 1}{_rows(trainer, batch_idx)}); {_good(trainer, step - 2)}"
        )


def check_weights(trainer: pl.Trainer) -> None:
    """Checks that what trains is finite, before it is kept.

    Args:
        trainer: The Trainer.

    Raises:
        UserError: It is not.
    """
    trained = {name: w.detach() for name, w in trainer.lightning_module.named_parameters() if w.requires_grad}
    if bool(torch.stack([weight.double().sum() for weight in trained.values()]).isfinite().all()):
        return
    name = next((name for name, weight in trained.items() if not weight.isfinite().all()), None)
    if name is not None:
        raise UserError(
            f"the weights {name} are not finite numbers after step {trainer.global_step} "
            f"(epoch {trainer.current_epoch + 1}); {_good(trainer, trainer.global_step - 1)}"
        )


def _rows(trainer: pl.Trainer, batch_idx: int) -> str:
    """Which training rows a batch of the epoch had, where that is known."""
    batches = batches_of_step(trainer, batch_idx)
    data: Any = getattr(trainer, "datamodule", None)
    if batches is None:
        return ""
    rows = batches[trainer.global_rank].tolist()
    shown = ", ".join(map(str, rows[:ROWS_SHOWN]))
    more = f" and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else ""
    text = " ".join(data.rows("train").texts[rows[0]].split())[:CHARACTERS_SHOWN] if data else ""
    return f"; rows {shown}{more} of train, the first of which is {text!r}"


def _good(trainer: pl.Trainer, proven: int) -> str:
    """What is left, and what to do.

    Args:
        trainer: The Trainer.
        proven: The last step after which the loss was finite; later weights are given up.
    """
    last, previous = (Path(trainer.log_dir or ".") / "checkpoints" / name for name in (LAST, PREVIOUS))
    if trainer.is_global_zero:
        for file in (last, previous):
            if file.is_file() and torch.load(file, weights_only=True)["global_step"] > proven:
                file.unlink()
        if previous.is_file() and not last.is_file():
            replace(previous, last)
    kept = f"the last good checkpoint is {from_here(last)}" if last.is_file() else "no good checkpoint was made before"
    return f"{kept}. A smaller --model.learning_rate (and head_learning_rate) usually helps"
