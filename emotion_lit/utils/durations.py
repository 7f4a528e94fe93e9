"""Durations in words."""


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours, such as ``45 s``, ``12 min`` or ``1.6 h``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
