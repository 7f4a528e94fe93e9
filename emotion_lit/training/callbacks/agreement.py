"""How processes that train together act at the same batch on what one of them knows."""

import time

import lightning.pytorch as pl

from emotion_lit.utils import distributed

SECONDS = 1.0


class Agreement:
    """Exchanges answers about once a second, because an exchange in every step would make all wait for the slowest."""

    def __init__(self) -> None:
        self._next = 0
        self._place, self._time = 0, time.monotonic()

    def is_due(self, trainer: pl.Trainer) -> bool:
        """Whether it is time to ask, the same on all processes.

        Args:
            trainer: The Trainer, inside of training.
        """
        if trainer.fit_loop.total_batch_idx < self._next:
            return False
        self._exchange(trainer)
        return True

    def any(self, trainer: pl.Trainer, *mine: bool, now: bool = False) -> list[bool]:
        """Whether any process answers yes, question by question; no where it is not time to ask.

        Args:
            trainer: The Trainer, inside of training; all processes call this at the same batches.
            mine: The answers of this process.
            now: Whether to ask in any case.
        """
        if trainer.world_size == 1:
            return list(mine)
        if trainer.fit_loop.total_batch_idx < self._next and not now:
            return [False] * len(mine)
        return [any(answers) for answers in zip(*self._exchange(trainer, *mine), strict=True)]

    def _exchange(self, trainer: pl.Trainer, *mine: bool) -> list[tuple[bool, ...]]:
        """The answers of all, and when to ask again: after as many batches as the slowest makes in a second."""
        place = trainer.fit_loop.total_batch_idx
        pace = (time.monotonic() - self._time) / max(1, place - self._place)
        everyone = distributed.all_gather((mine, pace))
        self._next = place + max(1, int(SECONDS / max(1e-3, *(pace for _, pace in everyone))))
        self._place, self._time = place, time.monotonic()
        return [answers for answers, _ in everyone]
