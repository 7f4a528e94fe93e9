"""What Ctrl-C and a scheduler's signals do: the program ends with a word on how to go on, from where it is."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from emotion_lit.utils.console import say
from emotion_lit.utils.streams import is_notebook

# SLURM's `--signal` and its users send it to a job whose time is nearly up; elsewhere it keeps its meaning.
REQUEUE = getattr(signal, "SIGUSR1", None)
INTERRUPT = signal.SIGINT
NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", REQUEUE: "SIGUSR1: the job's time is nearly up"}

_received: signal.Signals | None = None
_deferred: str = ""


class Stop(SystemExit):
    """A signal's end of the program, with the exit code that a shell gives to it.

    It is no `KeyboardInterrupt`, which Lightning would turn into exit code 1.

    Args:
        received: The signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(128 + received)
        self.signal = received


def received() -> signal.Signals | None:
    """The signal that has come, if any: whatever is under way should end soon."""
    return _received


def defer(until: str) -> None:
    """Lets the next signal wait: `received` says that it has come, and whoever defers it stops.

    Args:
        until: What has to be done first, as a person should read it; "" ends the deferring.
    """
    global _deferred
    _deferred = until


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Raises `Stop` at a signal, unless it is deferred; a second one ends the process at once.

    Inside another such block, and outside of the main thread, where Python has no signals, it does nothing.
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
        _received, _deferred = None, ""  # whatever comes after in this process was not asked to stop


def take_over() -> None:
    """Handles the signals again, in the place of handlers that Lightning has put before ours."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is not None:
        if number == INTERRUPT and is_notebook():  # its own process goes on
            raise KeyboardInterrupt
        if number != REQUEUE:
            os._exit(128 + number)
        return
    _received = signal.Signals(number)
    if not _deferred:
        raise Stop(_received)
    with contextlib.suppress(RuntimeError):  # where the same stream was being written to at this moment
        say(f"{NAMES[_received]}: stopping after {_deferred}; a second signal ends the program at once")
