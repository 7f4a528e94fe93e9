"""The training rows of a step, over all processes."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt

from emotion_lit.data.batching import BatchSampler
from emotion_lit.model.batches import size_of


def batches_of_step(trainer: pl.Trainer, batch_idx: int) -> list[npt.NDArray[np.int64]] | None:
    """The rows in the batch of each process; None if the batches come from another sampler.

    Args:
        trainer: The Trainer, during training.
        batch_idx: The index of the batch in the epoch.
    """
    sampler = getattr(trainer.train_dataloader, "batches", None)
    return sampler.plan[batch_idx] if isinstance(sampler, BatchSampler) else None


def rows_of_step(trainer: pl.Trainer, batch: Any, batch_idx: int) -> int:
    """The number of rows of a step, over all processes.

    Args:
        trainer: The Trainer, during training.
        batch: The batch of this process.
        batch_idx: Its index in the epoch.
    """
    batches = batches_of_step(trainer, batch_idx)
    return size_of(batch) * trainer.world_size if batches is None else sum(map(len, batches))
