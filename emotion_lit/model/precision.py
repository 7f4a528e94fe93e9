"""The arithmetic that suits the hardware, found out by measuring."""

import functools
import itertools
import time
from typing import Any

import torch
from torch.nn.functional import linear

from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

SINGLE, BFLOAT, HALF = "32-true", "bf16-mixed", "16-mixed"
# Tokens, and widths of a layer: on a CPU those of a small encoder, on a GPU what fills it.
SHAPES = {"cpu": (192, 384, 1536), "cuda": (8192, 1024, 4096)}
DTYPES = {
    "cpu": {SINGLE: None, BFLOAT: torch.bfloat16},
    "cuda": {SINGLE: None, BFLOAT: torch.bfloat16, HALF: torch.float16},
}
MEASURED_SECONDS = 0.2
CLEAR = 4  # so many times as fast needs no second look
# Fewer bits have to be faster by this, and bfloat16, which needs no scaling of the loss, may be slower than half
# precision by that. Where bfloat16 is native it is 1.7 to 2 times as fast as single precision, and where it is not, it
# takes ten times as long. On an H200 a layer took 0.66 ms in bfloat16, 0.48 ms in half and 4.15 ms in single precision.
GAIN, LOSS = 1.2, 0.5
# A GPU's first rounds of a kind of product take up to twice as long as the later ones.
ROUNDS = {"cpu": 1, "cuda": 8}


def choose_precision(command: str, settings: Any) -> Any:
    """The Trainer's precision: the one that is set, or else one that suits the command and the hardware.

    Args:
        command: What is run. A prediction should not depend on which texts share its batch, and with fewer bits than
            single precision it does, by 1e-3.
        settings: ``precision``, ``accelerator`` and ``devices``, as the Trainer takes them.
    """
    device = platforms.device_type(settings.accelerator)
    precision = settings.precision
    if precision == HALF and device != "cuda":  # of a run that began on another machine
        precision = native_precision(device)
        say(f"{HALF} is for GPUs; on this {device} it is {precision}")
    if precision is not None:
        return precision
    if command == "predict":
        return SINGLE
    if device == "cuda" and platforms.one_device_only() and settings.devices not in ("auto", 1, "1"):
        say(f"several GPUs in a notebook: nothing may be measured before they are there; precision {SINGLE}")
        return SINGLE
    precision = native_precision(device)
    if precision == HALF:
        say(f"precision {HALF}: this GPU is slow in bfloat16; --trainer.precision {SINGLE} is slower and exact")
    return precision


@functools.cache
def native_precision(device: str) -> str:
    """The fastest of single precision, mixed bfloat16 and, on a GPU, mixed half precision.

    What a processor says about itself is no guide: the library that computes may not use what it has.

    Args:
        device: The kind of device: ``cpu``, ``cuda`` or ``mps``, of which nothing but single precision is known.
    """
    if device not in SHAPES:
        return SINGLE
    speeds = {name: 1 / seconds for name, seconds in _measure(device).items()}
    fast = [name for name in (BFLOAT, HALF) if speeds.get(name, 0) > GAIN * speeds[SINGLE]]
    return next((name for name in fast if speeds[name] > LOSS * max(speeds.values())), SINGLE)


def _measure(device: str) -> dict[str, float]:
    """Seconds of a layer's forward and backward pass by precision, in a moment that leaves no trace.

    On a CPU it is the time of one thread's own work, which other programs do not lengthen.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():  # `predict` asks too
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
        best = {name: seconds(dtype) for name, dtype in DTYPES[device].items()}  # the first time takes longer
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
