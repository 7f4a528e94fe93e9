"""Settings as attributes: `model.temperature` reads a setting, and assigning a value changes it."""

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

Owner = TypeVar("Owner", bound=type)


def settings_as_attributes(settings: type) -> Callable[[Owner], Owner]:
    """Gives a class with an attribute `settings` a property for each setting that it has no attribute for.

    The class decides in `before_change(name)` what becomes of that which was made with the earlier value.

    Args:
        settings: The dataclass of its settings.
    """

    def add(owner: Owner) -> Owner:
        for name in (field.name for field in fields(settings)):
            if not hasattr(owner, name):
                setattr(owner, name, _property(name))
        return owner

    return add


def documented_by(settings: type) -> Callable[[Owner], Owner]:
    """Adds the explanations of settings to the docstring of a class whose arguments they are.

    They are written once, where the settings are defined; `help` and the command line show them here too.

    Args:
        settings: The dataclass of the settings.
    """

    def add(owner: Owner) -> Owner:
        if owner.__doc__ and settings.__doc__:  # `python -OO` removes docstrings
            _, heading, explanations = inspect.cleandoc(settings.__doc__).partition("Args:\n")
            owner.__doc__ = f"{inspect.cleandoc(owner.__doc__)}\n\n{heading}{explanations}\n"
        return owner

    return add


def _property(name: str) -> property:
    def read(owner: Any) -> Any:
        return getattr(owner.settings, name)

    def change(owner: Any, value: Any) -> None:
        owner.before_change(name)
        owner.settings = replace(owner.settings, **{name: value})

    return property(read, change, doc=f"The setting `{name}`.")
