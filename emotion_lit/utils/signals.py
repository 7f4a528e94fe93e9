"""Signals: Ctrl-C, SIGTERM and those of a scheduler end the program at a point from which it can be resumed."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from emotion_lit.utils.console import say
from emotion_lit.utils.streams import is_notebook

# In SLURM jobs, `--signal` sends it shortly before the time limit. Outside of SLURM it is not handled.
REQUEUE = getattr(signal, "SIGUSR1", None)
INTERRUPT = signal.SIGINT
NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", REQUEUE: "SIGUSR1: the job's time is nearly up"}

_received: signal.Signals | None = None
_deferred: str = ""


class Stop(SystemExit):
    """Ends the program because of a signal, with the exit code that shells use for it, 128 plus its number.

    It is not a `KeyboardInterrupt`, because Lightning would change the exit code to 1.

    Args:
        received: The signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(128 + received)
        self.signal = received


def received() -> signal.Signals | None:
    """The signal that was received, if any; the current work should then end soon."""
    return _received


def defer(until: str) -> None:
    """Defers signals: they do not raise `Stop`, and the caller has to check `received`.

    Args:
        until: What is finished first, for the message; an empty string ends the deferral.
    """
    global _deferred
    _deferred = until


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Raises `Stop` at a signal, unless signals are deferred; a second signal ends the process at once.

    It does nothing inside another such block, or outside of the main thread, where Python cannot handle signals.
    """
    global _received, _deferred
    signals = [signal.SIGINT, signal.SIGTERM]
    if REQUEUE is not None and "SLURM_JOB_ID" in os.environ:
        signals.append(REQUEUE)
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is _handle:
        yield
        return
    _received, _deferred = None, ""
    before = {number: signal.signal(number, _handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received, _deferred = None, ""  # later work in this process should not stop


def take_over() -> None:
    """Installs the handler again, because Lightning has replaced it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is not None:
        if number == INTERRUPT and is_notebook():  # the process of the notebook continues
            raise KeyboardInterrupt
        if number != REQUEUE:
            os._exit(128 + number)
        return
    _received = signal.Signals(number)
    if not _deferred:
        raise Stop(_received)
    with contextlib.suppress(RuntimeError):  # if the signal interrupted a write to the same stream
        say(f"{NAMES[_received]}: stopping after {_deferred}; a second signal ends the program at once")
