"""Errors of a command as one line, and the advice on how to resume after a signal."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence

from emotion_lit.errors import UserError
from emotion_lit.training import launchers, requeue
from emotion_lit.utils import console, distributed, failures, signals
from emotion_lit.utils.commands import resume_command
from emotion_lit.utils.streams import is_notebook

# Commands that go on where they stopped when the same command is given again in the same job.
RESUMED = ("fit", "predict", "sweep")
# Seconds that a process gives the first one to print an error that both have.
PATIENCE = 2.0


@contextlib.contextmanager
def one_line_errors(typed: Sequence[str]) -> Iterator[None]:
    """Prints one line for a command that fails, and how to resume for one that a signal stops.

    Args:
        typed: The words of the command.

    Raises:
        SystemExit: It failed, with exit code 2, or was terminated.
        UserError: It failed, in a notebook, which shows the line.
        KeyboardInterrupt: It was interrupted.
    """
    threading.excepthook = _print_thread_error
    with signals.handled():
        try:
            yield
        except UserError as error:
            _fail(str(error), error)
        except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except signals.Stop as stop:
            requeued = _print_how_to_resume(stop, typed)
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


def _print_thread_error(failed: "threading.ExceptHookArgs") -> None:
    """Prints one line for an error in a thread of a library; the code that waits for the thread handles it."""
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
    if line == failures.ELSEWHERE and launchers.launched_rank():
        raise SystemExit(0) from error  # the first process prints the error and sets the exit code
    rank = distributed.rank() if distributed.is_initialized() else launchers.launched_rank()
    # torchrun ends this process as soon as the first one fails in the same way
    if rank and not distributed.is_initialized():
        time.sleep(PATIENCE)
    which = f"process {rank}: " if rank else ""
    console.say(f"error: {which}{line}", wrap=False, from_all=True)
    raise SystemExit(distributed.exit_code(2)) from error


def _print_how_to_resume(stop: signals.Stop, typed: Sequence[str]) -> bool:
    """Prints how to resume, and requeues the job if the signal asks for it.

    Returns:
        Whether the job was requeued.
    """
    what = signals.NAMES[stop.signal]
    run = failures.run_folder
    command = typed[0] if typed else ""
    if run and (run / "checkpoints" / "last.ckpt").is_file():
        console.say(f"{what}; resume with: {resume_command(run)}", wrap=False)
    elif command in ("predict", "sweep"):
        console.say(f"{what}; the same command resumes where it stopped")
    else:
        console.say(f"{what}; no checkpoint was saved to resume from")
    if stop.signal != signals.REQUEUE or command not in RESUMED:
        return False
    if launchers.launched_rank():
        return True  # the first process requeues the job
    if run:
        requeue.write_record(run, typed, requeued=True)  # before: SLURM ends the job at once
    return requeue.requeue_job()
