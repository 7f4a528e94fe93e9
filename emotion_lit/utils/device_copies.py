"""Copies to a GPU and back that run while the program goes on; on other devices they are plain copies.

https://docs.pytorch.org/tutorials/intermediate/pinmem_nonblock.html
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def pinned(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Moves the tensors of a batch into page-locked memory, from which a GPU reads them by itself.

    Args:
        batch: Tensors and other values by name; other values are returned as they are.
    """
    return {name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in batch.items()}


class HostCopy:
    """A copy of a tensor in the memory of the computer. From a GPU it starts at once, and `wait` waits for its end.

    Args:
        values: Any shape, on any device.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self._end: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._end = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._end.record(torch.cuda.current_stream(values.device))

    def wait(self) -> Tensor:
        """The values, on the CPU."""
        if self._end is not None:
            self._end.synchronize()
        return self._values.cpu()
