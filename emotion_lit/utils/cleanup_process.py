"""A small process that removes unfinished files if this one is killed."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# The pipe ends with the process that holds its other end, whatever ends that.
PROGRAM = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@contextlib.contextmanager
def removed_if_killed(folder: Path) -> Iterator[None]:
    """Removes a folder if this process is killed while it lasts.

    Args:
        folder: A folder that has another name, or is gone, when all goes well.
    """
    try:
        watcher = subprocess.Popen(  # noqa: S603, our own program
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process alone
        )
    except OSError:  # no process can be started; the next command that writes there removes what is left
        yield
        return
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
