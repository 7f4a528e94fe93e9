"""Advice after a training step has run out of memory: the setting, and a value that fits."""

import gc
import traceback
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from emotion_lit.data.loaders import training_budget_of
from emotion_lit.model.memory_limit import does_not_fit
from emotion_lit.training.callbacks.time_estimate import step
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import device_memory, failures


class OutOfMemoryAdvice(pl.Callback):
    """Tries smaller batches after a training step has run out of memory, and adds the advice to the error."""

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Adds the advice, which the message of the command has."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not (isinstance(pl_module, EmotionClassifier) and isinstance(data, EmotionDataModule)):
            return
        if trainer.training and failures.is_out_of_memory(exception):
            _free(pl_module, exception)
            exception.add_note(failures.ADVICE + _advice(trainer, pl_module, data))


def _free(model: EmotionClassifier, error: BaseException) -> None:
    """Frees the tensors of the step that failed, which its traceback, the gradients and recorded steps hold."""
    traceback.clear_frames(error.__traceback__)
    model.acceleration.graphs = None
    model.zero_grad(set_to_none=True)
    gc.collect()
    device_memory.empty_cache(model.device)


def _advice(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> str:
    dataset = data.prepared("train")
    longest = int(dataset.padded_lengths.max())
    in_rows = data.settings.batch_size
    size = in_rows or training_budget_of(dataset, data.settings, model.device.type)
    key, unit = ("batch_size", "texts") if in_rows else ("tokens_per_batch", "tokens")
    least, fits = 1 if in_rows else longest, size // 2
    if trainer.world_size > 1:  # a backward pass of one process alone would wait for the others
        return f"; take a smaller --data.{key}, such as {max(1, fits)}"
    order = np.argsort(dataset.padded_lengths, kind="stable")
    held = [torch.empty_like(one) for one in _without_state(trainer) for _ in range(2)]  # the averages of AdamW
    while fits >= least and not _fits(trainer, model, dataset[order[-(fits // least) :].tolist()]):
        fits //= 2
    del held
    if fits < least:
        return does_not_fit(longest).removeprefix("out of memory")
    times = -(-size // fits) * trainer.accumulate_grad_batches
    return (
        f" with batches of {size:,} {unit}, and {fits:,} fit: --data.{key} {fits}; "
        f"--trainer.accumulate_grad_batches {times} keeps the size of a step"
    )


def _without_state(trainer: pl.Trainer) -> list[torch.Tensor]:
    groups: list[tuple[Any, Any]] = [
        (optimizer, group) for optimizer in trainer.optimizers for group in optimizer.param_groups
    ]
    return [one for optimizer, group in groups for one in group["params"] if one not in optimizer.state]


def _fits(trainer: pl.Trainer, model: EmotionClassifier, batch: dict[str, Any]) -> bool:
    try:
        step(trainer, model, trainer.strategy.batch_to_device(batch))
    except (RuntimeError, MemoryError) as error:
        if not failures.is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    finally:
        model.zero_grad(set_to_none=True)
        device_memory.empty_cache(model.device)
    return True
