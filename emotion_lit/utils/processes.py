"""What the processes of one command tell each other: objects, results of the first one, and errors.

Everything here is called by all processes alike, and does nothing special where there is one. It goes through a group
of its own, on the CPU and without a time limit: a GPU never waits for it, and work of one process may take long.
"""

import contextlib
import datetime
import errno
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from emotion_lit.errors import UserError
from emotion_lit.utils.files import atomic_path

T = TypeVar("T")
# A process that has died is noticed at once; one that works for long is waited for.
PATIENCE = datetime.timedelta(days=7)


_failed_together = False


class Elsewhere(SystemExit):
    """The end of a process because of another one's error, which that one reports."""

    def __init__(self) -> None:
        super().__init__(exit_code(2))


def exit_code(code: int) -> int:
    """The code that this process should exit with, where a person's command should end with another one.

    Lightning kills the first process at the failure of another one, which would take away its own code and words.

    Args:
        code: That of the command.
    """
    return 0 if _failed_together and rank() > 0 else code


def count() -> int:
    """How many processes run this command."""
    return dist.get_world_size() if _several() else 1


def rank() -> int:
    """The number of this one, from zero."""
    return dist.get_rank() if _several() else 0


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


@functools.cache
def _group() -> Any:
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def gathered(value: T) -> list[T]:
    """The values of all processes, in their order.

    Args:
        value: That of this process; it has to be picklable.
    """
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value, group=_group())
    return values


def first(work: Callable[[], T]) -> T:
    """What the first process computes, on all of them.

    Args:
        work: What it runs; an error of it ends all processes.

    Returns:
        Its result, which has to be picklable.

    Raises:
        Elsewhere: It failed there.
    """
    result: T | None = None
    with together():
        if rank() == 0:
            result = work()
    if count() > 1:
        box = [result]
        dist.broadcast_object_list(box, src=0, group=_group())
        result = box[0]
    return result  # type: ignore[return-value]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Ends all processes where one of them fails in here; it should hold nothing in which they wait for each other.

    Raises:
        Exception: What this process has raised, if it is the first that has raised something.
        OSError: The system has refused something to another one; whoever can do without it goes on.
        Elsewhere: Another one has failed otherwise, and reports it.
    """
    global _failed_together
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    refused = (error.errno, error.strerror) if isinstance(error, OSError) else None
    errors = [(place, why) for place, (failed, why) in enumerate(gathered((error is not None, refused))) if failed]
    _failed_together = bool(errors)
    if not errors:
        return
    place, why = errors[0]
    if error is not None and (place == rank() or isinstance(error, OSError)):
        raise error
    if why is not None:
        raise OSError(*why)
    raise Elsewhere


@contextlib.contextmanager
def file_of_machine(
    path: Path, local_rank: int, create: Callable[[Path], None], finish: Callable[[Path], None]
) -> Iterator[Path]:
    """A file that all processes of a machine fill, and that takes its name when all of them are done.

    Args:
        path: The name.
        local_rank: The number of this process on its machine.
        create: Makes the file that is filled; called by the first of them.
        finish: What is left to do when it is full; called by the first of them.

    Raises:
        OSError: One of them could not write it; nothing is left.
    """
    with contextlib.ExitStack() as stack:
        unfinished: Path | None = None
        with together():
            if local_rank == 0:
                unfinished = stack.enter_context(atomic_path(path))
                create(unfinished)
        shared = gathered(unfinished)[rank() - local_rank]
        with together():
            if shared is None:
                raise FileNotFoundError(errno.ENOENT, "the first process of this machine has not made it", str(path))
            yield shared
        with together():
            if unfinished is not None:
                finish(unfinished)
    wait()


def wait() -> None:
    """Waits for all processes."""
    gathered(None)


def check_rows(rows: int, split: str) -> None:
    """Checks that there is something to train on for each process.

    Args:
        rows: The rows.
        split: Of which split.

    Raises:
        UserError: There is not.
    """
    if rows < count():
        raise UserError(
            f"{rows} rows of {split} cannot be shared among {count()} processes; start at most {rows} "
            "(--trainer.devices), or take more rows"
        )
