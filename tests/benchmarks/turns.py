"""Runs peers in turns, and says what came out as a table and as JSON."""

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table

Measures = dict[str, float]
ROOT = Path(__file__).parent.parent.parent


def take_turns(peers: Mapping[str, Callable[[], Measures]], rounds: int) -> dict[str, list[Measures]]:
    """Runs every peer once a round, so that a slow moment of the machine meets them all.

    Args:
        peers: What to run, by name.
        rounds: How often.

    Returns:
        The measures of each peer, round by round.
    """
    results: dict[str, list[Measures]] = {name: [] for name in peers}
    for number in range(rounds):
        for name, run in peers.items():
            start = time.perf_counter()
            measures = run()
            results[name].append(measures)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in measures.items())
            say(f"round {number + 1}, {name}: {shown} ({time.perf_counter() - start:.0f} s in all)")
    return results


def ratios(results: Mapping[str, Sequence[Measures]], ours: str, peer: str, key: str) -> list[float]:
    """How many times larger a measure is for a peer than for us, round by round.

    Args:
        results: What `take_turns` gave.
        ours: Our name.
        peer: The peer's name.
        key: The measure.
    """
    return [theirs[key] / own[key] for theirs, own in zip(results[peer], results[ours], strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median and the range of some values, for a table.

    Args:
        values: The values.
        digits: Digits after the point.
    """
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def publish(name: str, rows: list[list[str]], results: Any, output: str | None) -> None:
    """Prints the table and the JSON, and keeps the JSON if asked to.

    Args:
        name: The benchmark.
        rows: The table; its first row is the heading.
        results: Everything that was measured.
        output: A file for the JSON.
    """
    everything = json.dumps({"benchmark": name, "machine": machine(), "results": results}, indent=2)
    show(f"\n{table(rows)}\n\n{everything}")
    if output:
        Path(output).write_text(everything + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def run_module(module: str, *arguments: str) -> tuple[str, float]:
    """Runs a module in a process of its own.

    Args:
        module: As after ``python -m``.
        arguments: Its arguments.

    Returns:
        What it wrote to stdout, and the seconds it took.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout, time.perf_counter() - start
