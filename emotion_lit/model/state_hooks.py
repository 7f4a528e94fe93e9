"""Hooks of transformers that collect the states of layers, as objects that can be pickled and copied.

transformers adds local functions to a model when states are first asked for, and those cannot be pickled.
"""

import contextlib
import inspect
from typing import Any

from torch import nn

MODULE = "transformers.utils.output_capturing"


class StateHook:
    """A hook that collects a state.

    Args:
        arguments: Those of the function of transformers that makes the hook.
    """

    def __init__(self, **arguments: Any) -> None:
        from transformers.utils.output_capturing import install_output_capuring_hook

        self.arguments = arguments
        holder = nn.Identity()
        install_output_capuring_hook(holder, **arguments)
        (self._hook,) = holder._forward_hooks.values()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        """Collects the state, as the function of transformers does."""
        return self._hook(module, args, output)

    def __getstate__(self) -> dict[str, Any]:
        return self.arguments

    def __setstate__(self, arguments: dict[str, Any]) -> None:
        self.__init__(**arguments)  # type: ignore[misc]


def make_picklable(network: nn.Module) -> None:
    """Replaces hooks one by one, so that other threads can go on computing.

    Args:
        network: The network.
    """
    names = ("key", "index", "capture_initial_hidden_state")
    for module in network.modules():
        for number, hook in list(module._forward_hooks.items()):
            if inspect.isfunction(hook) and hook.__module__ == MODULE:
                found = {**inspect.getclosurevars(hook).nonlocals}
                with contextlib.suppress(ImportError, TypeError):  # a release with other names
                    module._forward_hooks[number] = StateHook(**{name: found[name] for name in names if name in found})
