"""Checks that the devices that the Trainer is asked for are available."""

from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry

from emotion_lit.errors import UserError, unknown
from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

# Values of trainer.accelerator that are not names of accelerators, and what they choose from.
CHOICES = {"auto": ("cpu",), "gpu": ("cuda", "mps")}


def check_devices(accelerator: Any, devices: Any) -> None:
    """Checks that there are as many devices of this kind.

    A note says why an NVIDIA GPU cannot be used, if there is one.

    Args:
        accelerator: The setting trainer.accelerator; objects are not checked.
        devices: The setting trainer.devices.

    Raises:
        UserError: There is no such device on this machine, or there are fewer.
    """
    if not isinstance(accelerator, str):
        return
    check_accelerator(accelerator)
    device = platforms.device_type(accelerator)
    if device == "cpu":
        if accelerator == "auto" and (problem := platforms.cuda_problem()):
            say(f"note: the CPU is used instead of the NVIDIA GPU: {problem}")
        return
    count = torch.cuda.device_count() if device == "cuda" else 1
    if _largest(devices) > count:
        have = "1 GPU" if count == 1 else f"{count} GPUs"
        raise UserError(
            f"trainer.devices is {devices}, but this process has {have} ({device}); leave it out to use all of them "
            "(in a SLURM job, give every task all GPUs of its machine: --gpus-per-node, not --gpus-per-task)"
        )


def check_accelerator(name: str) -> None:
    """Checks that an accelerator is available.

    Args:
        name: The setting trainer.accelerator.

    Raises:
        UserError: The name is unknown, or there is no such device on this machine.
    """
    known = AcceleratorRegistry.available_accelerators()
    if name not in (*CHOICES, *known):
        raise unknown("trainer.accelerator", name, [*CHOICES, *sorted(known)])
    here = sorted(one for one in known if AcceleratorRegistry[one]["accelerator"].is_available())
    if not set(CHOICES.get(name, (name,))) & set(here):
        problem = platforms.cuda_problem() if name in ("gpu", "cuda") else None
        raise UserError(
            f"trainer.accelerator is {name}, but PyTorch finds no such device{f': {problem}' if problem else ''}; "
            f"leave it out, or give one of: {', '.join(here)}"
        )


def _largest(devices: Any) -> int:
    """The number of devices that a setting needs at least; 0 if it takes what there is, or the Trainer refuses it."""
    numbers = devices if isinstance(devices, list | tuple) else str(devices).split(",")
    try:
        chosen = [int(number) for number in numbers if str(number).strip()]
    except ValueError:  # auto
        return 0
    is_list = not isinstance(devices, int) and (not isinstance(devices, str) or "," in devices)
    return max(chosen, default=-1) + 1 if is_list else max(0, *chosen)
