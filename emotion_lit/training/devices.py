"""Checks that the accelerator is available."""

from lightning.pytorch.accelerators import AcceleratorRegistry

from emotion_lit.errors import UserError, unknown

# Values of trainer.accelerator that are not names of accelerators, and what they choose from.
CHOICES = {"auto": ("cpu",), "gpu": ("cuda", "mps")}


def check_accelerator(name: object) -> None:
    """Checks that an accelerator is available.

    Args:
        name: The setting trainer.accelerator; objects are not checked.

    Raises:
        UserError: The name is unknown, or there is no such device on this machine.
    """
    if not isinstance(name, str):
        return
    known = AcceleratorRegistry.available_accelerators()
    if name not in (*CHOICES, *known):
        raise unknown("trainer.accelerator", name, [*CHOICES, *sorted(known)])
    here = sorted(one for one in known if AcceleratorRegistry[one]["accelerator"].is_available())
    if not set(CHOICES.get(name, (name,))) & set(here):
        raise UserError(
            f"trainer.accelerator is {name}, but PyTorch finds no such device; leave it out, or give one of: "
            f"{', '.join(here)}"
        )
