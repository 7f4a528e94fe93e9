"""Divides the cores of a machine among the processes of a command."""

import lightning.pytorch as pl
import torch

from emotion_lit.utils.console import say
from emotion_lit.utils.threads import own_threads, share_cores


class SharedCores(pl.Callback):
    """Sets and prints the number of threads of each process, if there are several."""

    def __init__(self) -> None:
        self._threads = own_threads()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Sets the number of threads."""
        if trainer.world_size == 1:
            return
        machines = share_cores(self._threads)
        threads = torch.get_num_threads()
        say(
            f"{trainer.world_size} processes on {machines} machine{'s' * (machines > 1)}, "
            f"{threads} thread{'s' * (threads > 1)} each"
        )
