"""Profiles steps of `fit`: launches, copies, and the time of the device against the time that passes.

python -m tests.benchmarks.steps --graphs on -- --config full --data.dataset sample --model.backbone embedded
"""

import argparse
import json
import sys
import time
from typing import Any

import lightning.pytorch as pl
from torch.profiler import ProfilerActivity, profile

from emotion_lit.cli import main as run
from emotion_lit.training.callbacks import acceleration, fitting
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.utils import platforms

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
COPIES = ("cudaMemcpyAsync", "aten::copy_")
READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
TOP = 12


class Profile(Throughput):
    """Profiles a part of the steps, and prints the result as JSON.

    Attributes:
        first: The first step that is profiled.
        steps: The number of steps.
    """

    first, steps = 60, 20
    _profiler: Any = None
    _start = 0.0
    _running = False

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, place: int) -> None:
        """Starts or ends the profile."""
        super().on_train_batch_start(trainer, pl_module, batch, place)
        if self._profiler is None and place == self.first:
            cuda = [ProfilerActivity.CUDA] if pl_module.device.type == "cuda" else []
            self._profiler = profile(activities=[ProfilerActivity.CPU, *cuda])
            platforms.synchronize(pl_module.device)
            self._profiler.__enter__()
            self._running = True
            self._start = time.perf_counter()
        elif self._running and place == self.first + self.steps:
            platforms.synchronize(pl_module.device)
            wall = time.perf_counter() - self._start
            self._profiler.__exit__(None, None, None)
            self._running = False
            sys.stdout.write("\n" + json.dumps(self._summary(wall)) + "\n")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says that there were too few steps."""
        if self._running:
            self._profiler.__exit__(None, None, None)
        if self._running or self._profiler is None:
            raise SystemExit(f"fewer than {self.first + self.steps} steps in an epoch; take more rows")

    def _summary(self, wall: float) -> dict[str, Any]:
        events = self._profiler.key_averages()
        count = {event.key: event.count / self.steps for event in events}
        device = sum(event.self_device_time_total for event in events) / 1e3 / self.steps
        heavy = sorted(events, key=lambda event: -(event.self_device_time_total or event.self_cpu_time_total))[:TOP]
        return {
            "wall_ms": 1e3 * wall / self.steps,
            "device_ms": device,
            "launches": sum(count.get(key, 0) for key in LAUNCHES),
            **{key: count[key] for key in (*COPIES, *READS) if key in count},
            "heaviest": {event.key[:70]: event.count / self.steps for event in heavy},
        }


def main() -> None:
    """Runs `fit` with the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", choices=["on", "off"], default="on")
    parser.add_argument("--first", type=int, default=Profile.first)
    parser.add_argument("--steps", type=int, default=Profile.steps)
    parser.add_argument("fit", nargs="+", help="The arguments of `fit`, after --.")
    options = parser.parse_args()
    Profile.first, Profile.steps = options.first, options.steps
    setattr(fitting, "Throughput", Profile)  # noqa: B010
    if options.graphs == "off":
        setattr(acceleration, "recorder_for", lambda _: None)  # noqa: B010
    run(["fit", *options.fit])


if __name__ == "__main__":
    main()
