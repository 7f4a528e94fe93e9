"""Lets all processes of a run act at the same batch, for example on a signal that one of them received."""

import time

import lightning.pytorch as pl

from emotion_lit.utils import distributed

SECONDS = 1.0


class FlagSync:
    """Exchanges flags about once a second; doing so in every step would make all processes wait for the slowest."""

    def __init__(self) -> None:
        self._next = 0
        self._place, self._time = 0, time.monotonic()

    def is_due(self, trainer: pl.Trainer) -> bool:
        """Whether the next exchange is due, with the same result in all processes.

        Args:
            trainer: The Trainer, during training.
        """
        if trainer.fit_loop.total_batch_idx < self._next:
            return False
        self._exchange(trainer)
        return True

    def any(self, trainer: pl.Trainer, *mine: bool, now: bool = False) -> list[bool]:
        """For each flag, whether it is true in any process; always False if no exchange is due.

        Args:
            trainer: The Trainer, during training; all processes call this at the same batches.
            mine: The flags of this process.
            now: Whether to exchange them even if it is not due.
        """
        if trainer.world_size == 1:
            return list(mine)
        if trainer.fit_loop.total_batch_idx < self._next and not now:
            return [False] * len(mine)
        return [any(flags) for flags in zip(*self._exchange(trainer, *mine), strict=True)]

    def _exchange(self, trainer: pl.Trainer, *mine: bool) -> list[tuple[bool, ...]]:
        """Returns the flags of all processes, and schedules the next exchange, in about a second of the slowest one."""
        place = trainer.fit_loop.total_batch_idx
        pace = (time.monotonic() - self._time) / max(1, place - self._place)
        everyone = distributed.all_gather((mine, pace))
        self._next = place + max(1, int(SECONDS / max(1e-3, *(pace for _, pace in everyone))))
        self._place, self._time = place, time.monotonic()
        return [flags for flags, _ in everyone]
