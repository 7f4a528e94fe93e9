"""Communication among the processes of one command: objects, results of rank zero, and errors.

All processes have to call these functions; with a single process they do nothing special. They use a separate process
group, on the CPU and without a time limit: a GPU never waits for it, and the work of one process may take long.
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
# The end of a process is detected at once, so a long timeout only waits for slow processes.
PATIENCE = datetime.timedelta(days=7)


_failed_together = False


class FailedElsewhere(SystemExit):
    """Ends a process because of an error in another process, which reports it."""

    def __init__(self) -> None:
        super().__init__(exit_code(2))


def exit_code(code: int) -> int:
    """The exit code of this process, so that the command ends with the right one.

    Lightning kills the first process when another one fails, which would hide its own exit code and message.

    Args:
        code: The exit code of the command.
    """
    return 0 if _failed_together and rank() > 0 else code


def world_size() -> int:
    """The number of processes that run this command."""
    return dist.get_world_size() if is_initialized() else 1


def rank() -> int:
    """The rank of this process, from zero."""
    return dist.get_rank() if is_initialized() else 0


def is_initialized() -> bool:
    """Whether the process group is initialized, so that processes can communicate."""
    return dist.is_available() and dist.is_initialized()


@functools.cache
def _group() -> Any:
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def all_gather(value: T) -> list[T]:
    """The values of all processes, in their order.

    Args:
        value: That of this process; it has to be picklable.
    """
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value, group=_group())
    return values


def on_rank_zero(work: Callable[[], T]) -> T:
    """Runs a function on rank zero, and returns its result on all processes.

    Args:
        work: The function; its error ends all processes.

    Returns:
        Its result, which has to be picklable.

    Raises:
        FailedElsewhere: It failed there.
    """
    result: T | None = None
    with fail_together():
        if rank() == 0:
            result = work()
    if world_size() > 1:
        box = [result]
        dist.broadcast_object_list(box, src=0, group=_group())
        result = box[0]
    return result  # type: ignore[return-value]


@contextlib.contextmanager
def fail_together() -> Iterator[None]:
    """Ends all processes if one of them fails in the block, which must not contain collective operations.

    Raises:
        Exception: The error of this process, if it has the lowest rank of those that failed.
        OSError: Another process has failed with this error; callers may catch it.
        FailedElsewhere: Another process has failed with another error, and reports it.
    """
    global _failed_together
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    refused = (error.errno, error.strerror) if isinstance(error, OSError) else None
    errors = [
        (failing, why) for failing, (failed, why) in enumerate(all_gather((error is not None, refused))) if failed
    ]
    _failed_together = bool(errors)
    if not errors:
        return
    failing, why = errors[0]
    if error is not None and (failing == rank() or isinstance(error, OSError)):
        raise error
    if why is not None:
        raise OSError(*why)
    raise FailedElsewhere


@contextlib.contextmanager
def node_file(
    path: Path, local_rank: int, create: Callable[[Path], None], finish: Callable[[Path], None]
) -> Iterator[Path]:
    """A temporary file that all processes of a machine write to, renamed when all of them are done.

    Args:
        path: The final path.
        local_rank: The local rank of this process.
        create: Creates the file; called by local rank 0.
        finish: Called by local rank 0 when all processes have written.

    Raises:
        OSError: A process could not write; the file is deleted.
    """
    with contextlib.ExitStack() as stack:
        unfinished: Path | None = None
        with fail_together():
            if local_rank == 0:
                unfinished = stack.enter_context(atomic_path(path))
                create(unfinished)
        shared = all_gather(unfinished)[rank() - local_rank]
        with fail_together():
            if shared is None:
                raise FileNotFoundError(errno.ENOENT, "local rank 0 has not created it", str(path))
            yield shared
        with fail_together():
            if unfinished is not None:
                finish(unfinished)
    barrier()


def barrier() -> None:
    """Waits for all processes."""
    all_gather(None)


def check_rows(rows: int, split: str) -> None:
    """Checks that there is at least one row for each process.

    Args:
        rows: The number of rows.
        split: The name of the split.

    Raises:
        UserError: There are fewer rows than processes.
    """
    if rows < world_size():
        raise UserError(
            f"{rows} rows of {split} cannot be shared among {world_size()} processes; start at most {rows} "
            "(--trainer.devices), or take more rows"
        )
