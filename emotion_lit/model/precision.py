"""The default precision: the fastest one on this hardware, which is measured."""

import functools
import itertools
import time
from typing import Any

import torch
from torch.nn.functional import linear

from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

SINGLE, BFLOAT, HALF = "32-true", "bf16-mixed", "16-mixed"
# Tokens, input size and output size of the layer: on a CPU those of a small encoder, on a GPU large enough to fill it.
SHAPES = {"cpu": (192, 384, 1536), "cuda": (8192, 1024, 4096)}
DTYPES = {
    "cpu": {SINGLE: None, BFLOAT: torch.bfloat16},
    "cuda": {SINGLE: None, BFLOAT: torch.bfloat16, HALF: torch.float16},
}
MEASURED_SECONDS = 0.2
CLEAR = 4  # at this ratio of speeds, one measurement is enough
# Lower precision has to be MIN_SPEEDUP times as fast as single precision. bfloat16 is preferred to half precision,
# because it needs no loss scaling, if its speed is above MIN_RELATIVE_SPEED times the highest. Native bfloat16 is 1.7
# to 2 times as fast as single precision; emulated, it takes ten times as long. On an H200 a layer took 0.66 ms in
# bfloat16, 0.48 ms in half and 4.15 ms in single precision.
MIN_SPEEDUP, MIN_RELATIVE_SPEED = 1.2, 0.5
# On a GPU, the first rounds take up to twice as long as later ones.
ROUNDS = {"cpu": 1, "cuda": 8}


def choose_precision(command: str, settings: Any) -> Any:
    """The Trainer's precision: the one that is set, or else one that suits the command and the hardware.

    Args:
        command: The command. `predict` uses single precision: below it, a prediction depends on the other texts of its
            batch, by 1e-3.
        settings: ``precision``, ``accelerator`` and ``devices``, as the Trainer takes them.
    """
    device = platforms.device_type(settings.accelerator)
    precision = settings.precision
    if precision == HALF and device != "cuda":  # stored by a run on another machine
        precision = native_precision(device)
        say(f"precision {HALF} needs a CUDA GPU; using {precision} on this {device}")
    if precision is not None:
        return precision
    if command == "predict":
        return SINGLE
    if device == "cuda" and platforms.one_device_only() and settings.devices not in ("auto", 1, "1"):
        say(f"precision {SINGLE}: with several GPUs in a notebook, the speed of others cannot be measured")
        return SINGLE
    precision = native_precision(device)
    if precision == HALF:
        say(f"precision {HALF}: this GPU is slow in bfloat16; --trainer.precision {SINGLE} is slower but more exact")
    return precision


@functools.cache
def native_precision(device: str) -> str:
    """The fastest of single precision, mixed bfloat16 and, on a GPU, mixed half precision.

    It is measured, because the libraries may not use the features that a processor reports.

    Args:
        device: The device type: ``cpu``, ``cuda``, or ``mps``, for which it is always single precision.
    """
    if device not in SHAPES:
        return SINGLE
    speeds = {name: 1 / seconds for name, seconds in _measure(device).items()}
    fast = [name for name in (BFLOAT, HALF) if speeds.get(name, 0) > MIN_SPEEDUP * speeds[SINGLE]]
    return next((name for name in fast if speeds[name] > MIN_RELATIVE_SPEED * max(speeds.values())), SINGLE)


def _measure(device: str) -> dict[str, float]:
    """The seconds of a forward and backward pass of one linear layer, by precision.

    On a CPU it is the CPU time of one thread, which does not depend on the load by other programs.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():  # `predict` calls this in inference mode
        return _measure_layer(device)


def _measure_layer(device: str) -> dict[str, float]:
    tokens, width, inner = SHAPES[device]
    weight = torch.ones(inner, width, device=device, requires_grad=True)
    states = torch.ones(tokens, width, device=device, requires_grad=True)
    threads = torch.get_num_threads()
    clock = platforms.own_seconds if device == "cpu" else time.perf_counter

    def seconds(dtype: torch.dtype | None) -> float:
        start = clock()
        with torch.autocast(device, dtype, enabled=dtype is not None):
            out = linear(states, weight)
        torch.autograd.grad(out, (states, weight), out.detach())
        platforms.synchronize(out.device)
        return clock() - start

    try:
        torch.set_num_threads(1)
        best = {name: seconds(dtype) for name, dtype in DTYPES[device].items()}  # a warm-up, which takes longer
        start = time.perf_counter()
        for rounds in itertools.count(1):
            best = {name: min(best[name], seconds(dtype)) for name, dtype in DTYPES[device].items()}
            clear = max(best.values()) > CLEAR * min(best.values())
            enough = clear or time.perf_counter() - start > MEASURED_SECONDS
            if enough and rounds >= ROUNDS[device]:
                break
        return {name: max(value, 1e-9) for name, value in best.items()}
    finally:
        torch.set_num_threads(threads)
