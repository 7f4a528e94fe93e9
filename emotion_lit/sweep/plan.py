"""What a sweep does: its settings, search space, metric and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_lit.sweep.space import Space


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep does.

    Attributes:
        name: The name of the configuration; the sweep's folder is ``<root>/<name>_sweep``.
        root: The folder of all runs.
        settings: The settings of `fit`, nested, that differ from the defaults.
        own: All settings of `fit`, by dotted key.
        space: The search space.
        metric: The metric that trials are compared by.
        precision: The Trainer's precision, the same for all trials.
        seed: The seed of the sampler.
        trials: The number of trials; None if only the time is limited.
        budget: The seconds; None if only the number of trials is limited.
        storage: The URL of a database, instead of a journal in the sweep's folder.
        pruning: Whether hopeless trials are stopped.
        started: When the command started, in seconds since the epoch.
    """

    name: str
    root: Path
    settings: Mapping[str, Any]
    own: Mapping[str, Any]
    space: Space
    metric: str
    precision: str
    seed: int
    trials: int | None
    budget: float | None
    storage: str | None
    pruning: bool
    started: float

    @property
    def folder(self) -> Path:
        """The folder of the sweep."""
        return self.root / f"{self.name}_sweep"
