"""The settings of a sweep, besides those of `fit`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SweepSettings:
    """All settings under `sweep`.

    Args:
        space: The settings to search, by dotted key: a list of values, or a range such as
            `{low: 1e-4, high: 1e-2, log: true}`. By default a space for the tuning mode.
        pruning: Whether to stop a trial that is worse than the median of the complete trials at the same part of
            their training.
        storage: The URL of a database, such as `postgresql://HOST/NAME`, for processes that share no disk. By default
            a journal in the sweep's folder.
    """

    space: dict[str, Any] | None = None
    pruning: bool = True
    storage: str | None = None
