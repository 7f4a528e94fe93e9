"""How a command ends: with what it was for, with one line about a mistake, or with a word on how to go on."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from emotion_lit.errors import UserError
from emotion_lit.training import requeue
from emotion_lit.utils import console, distributed, failures, signals
from emotion_lit.utils.commands import resume_command
from emotion_lit.utils.streams import is_notebook


@contextlib.contextmanager
def in_one_line(typed: Sequence[str]) -> Iterator[None]:
    """Ends a command that fails with one line, and one that a signal stops with how to go on.

    Args:
        typed: The command.

    Raises:
        SystemExit: It failed, with exit code 2, or was terminated.
        UserError: It failed, in a notebook, which shows the line.
        KeyboardInterrupt: It was interrupted.
    """
    failures.run_folder = None
    threading.excepthook = _say_in_one_line
    with signals.handled():
        try:
            yield
        except UserError as error:
            _fail(str(error), error)
        except BrokenPipeError:  # whoever was reading, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except signals.Stop as stop:
            requeued = _say_how_to_go_on(stop, typed)
            if stop.signal == signal.SIGINT:
                raise KeyboardInterrupt from None
            if requeued:
                raise SystemExit(0) from None
            raise
        except Exception as error:
            line = failures.explain(error)
            if line is None:
                raise
            _fail(line, error)


def _say_in_one_line(failed: "threading.ExceptHookArgs") -> None:
    """What a thread of a library could not do; whoever waits for it finds out, and says what is missing."""
    line = failures.explain(failed.exc_value) if failed.exc_value else None
    if line is None:
        threading.__excepthook__(failed)
    else:
        console.say(f"warning: {line.split('; ')[0]}")


def _fail(line: str, error: Exception) -> None:
    if failures.debugging():
        traceback.print_exception(error)
    if is_notebook():
        raise UserError(line) from None
    if line == failures.ELSEWHERE and os.environ.get("LOCAL_RANK", "0") != "0":
        raise SystemExit(0) from error  # what a person reads, and the exit code, are the first one's
    which = f"process {distributed.rank()}: " if distributed.rank() else ""
    console.say(f"error: {which}{line}", wrap=False, from_all=True)
    raise SystemExit(distributed.exit_code(2)) from error


def _say_how_to_go_on(stop: signals.Stop, typed: Sequence[str]) -> bool:
    """Says so, and puts a job back into its queue where that is what the signal asks for.

    Returns:
        Whether the job is in the queue again.
    """
    what = signals.NAMES[stop.signal]
    run = failures.run_folder
    requeued = False
    if run and (run / "checkpoints" / "last.ckpt").is_file():
        if stop.signal == signals.REQUEUE:
            requeue.write_record(run, typed, requeued=True)  # before: SLURM ends the job at once
            requeued = requeue.requeue_job()
        console.say(f"{what}; go on with: {resume_command(run)}", wrap=False)
    elif typed and typed[0] == "predict":
        console.say(f"{what}; the same command goes on where it stopped")
    else:
        console.say(f"{what}; nothing was kept to go on from")
    return requeued
