"""Makes models usable in forked processes, where the libraries would wait forever for threads that do not exist."""

import ctypes
import functools
import os
import sys
import weakref
from typing import Any

# Read by `tokenizers` at each call.
TOKENIZERS = "TOKENIZERS_PARALLELISM"

_tokenizers_before: str | None = None
_with_threads: weakref.WeakSet[Any] = weakref.WeakSet()


@functools.cache
def enable() -> None:
    """Makes processes that are forked later compute with one thread.

    Otherwise PyTorch would wait in the child for threads that only the parent has (pytorch#17199).
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_keep_tokenizers, after_in_parent=_release_tokenizers, after_in_child=_in_child)


def _keep_tokenizers() -> None:
    global _tokenizers_before
    _tokenizers_before = os.environ.get(TOKENIZERS)
    os.environ[TOKENIZERS] = "false"  # otherwise the child prints a long warning, or hangs if it is true


def _release_tokenizers() -> None:
    if _tokenizers_before is None:
        os.environ.pop(TOKENIZERS, None)
    else:
        os.environ[TOKENIZERS] = _tokenizers_before


def never_free_in_child(owner: Any) -> None:
    """Keeps an object alive in forked processes, where freeing it would wait forever for threads that do not exist.

    Args:
        owner: The object that has threads.
    """
    enable()
    _with_threads.add(owner)


def _in_child() -> None:
    for owner in _with_threads:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))  # other references are released at exit
    if "onnxruntime" in sys.modules:
        _end_at_once()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _end_at_once() -> None:
    """Makes this process exit without C++ destructors, as in multiprocessing; those of ONNX Runtime would hang."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # a function of glibc, which calls the last one first, with the exit code
        libc.on_exit(libc._exit, None)
