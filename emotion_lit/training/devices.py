"""Which accelerators there are."""

from lightning.pytorch.accelerators import AcceleratorRegistry

from emotion_lit.errors import UserError, unknown

# What Lightning takes beside the names of accelerators.
CHOICES = {"auto": ("cpu",), "gpu": ("cuda", "mps")}


def check_accelerator(name: object) -> None:
    """Checks that an accelerator is there.

    Args:
        name: What was given as trainer.accelerator; an object of Lightning's is not looked at.

    Raises:
        UserError: There is none of that name, here or anywhere.
    """
    if not isinstance(name, str):
        return
    known = AcceleratorRegistry.available_accelerators()
    if name not in (*CHOICES, *known):
        raise unknown("trainer.accelerator", name, [*CHOICES, *sorted(known)])
    here = sorted(one for one in known if AcceleratorRegistry[one]["accelerator"].is_available())
    if not set(CHOICES.get(name, (name,))) & set(here):
        raise UserError(
            f"trainer.accelerator is {name}, and there is none that PyTorch can use; leave it out, or give one of: "
            f"{', '.join(here)}"
        )
