"""Saves and restores the process-wide state that training changes."""

import contextlib
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restores what a run changes in the process.

    These are environment variables, warning filters, log levels and handlers, signal handlers, the hook for errors in
    threads, PyTorch's number of threads, its switches for determinism, cuDNN and precision, and the states of the
    random number generators of Python, NumPy and PyTorch (on the CPU).
    """
    restore = [_environment(), _loggers(), _signals(), _hooks(), _torch(), _random_states()]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for one in restore:
            one()


def _environment() -> Callable[[], None]:
    before = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _loggers() -> Callable[[], None]:
    known = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    before = [(one, one.level, list(one.handlers), one.propagate, one.disabled) for one in (logging.root, *known)]

    def restore() -> None:
        for logger, level, handlers, propagate, disabled in before:
            logger.setLevel(level)
            logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled

    return restore


def _signals() -> Callable[[], None]:
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only in the main thread
        return lambda: None
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _hooks() -> Callable[[], None]:
    before = sys.excepthook, threading.excepthook

    def restore() -> None:
        sys.excepthook, threading.excepthook = before

    return restore


def _torch() -> Callable[[], None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn = {name: getattr(torch.backends.cudnn, name) for name in ("benchmark", "deterministic")}
    anomaly = torch.is_anomaly_enabled()

    def restore() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        for name, value in cudnn.items():
            setattr(torch.backends.cudnn, name, value)
        torch.autograd.set_detect_anomaly(anomaly)

    return restore


def _random_states() -> Callable[[], None]:
    before: tuple[Any, Any, Any] = random.getstate(), np.random.get_state(), torch.get_rng_state()

    def restore() -> None:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])

    return restore
