"""A small child process that removes unfinished files if this process is killed."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Reading the pipe returns when the parent process ends, however it ends.
PROGRAM = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@contextlib.contextmanager
def removed_if_killed(folder: Path) -> Iterator[None]:
    """Removes a folder if this process is killed inside the block.

    Args:
        folder: A temporary folder, which is renamed or removed when the block succeeds.
    """
    try:
        watcher = subprocess.Popen(  # noqa: S603, a constant program
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not end it
        )
    except OSError:  # no process can be started; the next command that writes there removes the rest
        yield
        return
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
