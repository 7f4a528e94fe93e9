"""The machine and the versions of libraries, for a report."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from emotion_lit import __version__

LIBRARIES = ("lightning", "transformers", "peft", "datasets")


def environment(device: torch.device) -> dict[str, Any]:
    """The device, the system and the versions of libraries; nothing that identifies the user.

    Args:
        device: The device of the model.
    """
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "emotion_lit": __version__,
        "torch": torch.__version__,
        **{name: version(name) for name in LIBRARIES},
    }
