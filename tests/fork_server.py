"""A fork server for tests that start the program: it has imported all libraries, and forks a process for each program.

A command that begins with `forked()` instead of `sys.executable` starts without the seconds that imports take.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
CLIENT = Path(__file__).with_name("fork_client.py")
# Variables that Python and libraries read at their start; a program that sets another value gets a fresh process.
AT_START = re.compile(r"PYTHON(?!PATH)|LC_|LANG|HOME$|XDG|HF_|TRANSFORMERS|TOKENIZERS|MPL|TORCH_|OMP|MKL|CUDA")

# A thread of pyarrow's memory allocator, which starts it again in forked processes.
ALLOCATOR = "jemalloc_bg_thd"


@functools.cache
def forked() -> list[str]:
    """The first words of a command that the fork server runs; `sys.executable` where there can be none."""
    if sys.platform != "linux":
        return [sys.executable]
    folder = tempfile.mkdtemp(prefix="emotion_lit-fork-")
    place = Path(folder, "socket")
    command = [sys.executable, "-m", "tests.fork_server", str(place)]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.communicate)  # the end of its input ends it
    while not place.exists():
        if server.poll() is not None:
            return [sys.executable]
        time.sleep(0.02)
    return [sys.executable, "-IS", str(CLIENT), str(place)]


def serve(place: Path) -> list[str] | None:
    """Forks processes until standard input ends.

    Args:
        place: The socket.

    Returns:
        In a forked process, the words of its program; None at the end of the server.
    """
    environment = dict(os.environ)
    import emotion_lit

    for module in pkgutil.walk_packages(emotion_lit.__path__, "emotion_lit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    if len(threads) - threads.count(ALLOCATOR) > 1:  # a forked process would lack them
        return None
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}.new")
        listener.listen()
        place.with_name(f"{place.name}.new").rename(place)
        while 0 not in select.select([listener.fileno(), 0], [], [])[0]:
            client, _ = listener.accept()
            with client:
                if not os.fork():
                    listener.close()
                    return _program(client, environment)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    return None


def _program(client: socket.socket, environment: Mapping[str, str]) -> list[str]:
    """Forks the process of a program; returns only in this one, with its words."""
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    request = b""
    while len(request) < int.from_bytes(size, "little"):
        request += client.recv(1 << 16)
    asked = json.loads(request)
    names = [name for name in environment.keys() | asked["environment"].keys() if AT_START.match(name)]
    if any(environment.get(name) != asked["environment"].get(name) for name in names):
        client.send(b"fresh")
        os._exit(0)
    if process := os.fork():
        for stream in streams:
            os.close(stream)
        _watch(client, process)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115, a descriptor
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return list(asked["words"])


def _watch(client: socket.socket, process: int) -> NoReturn:
    """Passes signals on to a process, and its exit code to the client; kills it and its children if the client dies."""
    ended = 0
    while not ended:
        if select.select([client], [], [], 0.005)[0]:
            received = client.recv(1)
            os.kill(process, received[0]) if received else os.killpg(process, signal.SIGKILL)
        ended, status = os.waitpid(process, os.WNOHANG)
    with contextlib.suppress(OSError):
        client.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run(words: Sequence[str]) -> None:
    """Runs the words after `python`: a module, code, or a script."""
    sys.orig_argv = [sys.executable, *words]
    kind, first, *more = words if words[0] in ("-m", "-c") else ("", *words)
    sys.argv = [kind if kind == "-c" else first, *more]
    sys.path[0] = "" if kind else str(Path(first).parent)
    if kind == "-m":
        runpy.run_module(first, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(compile(first, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102, of a test
    else:
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__" and (words := serve(Path(sys.argv[1]))):
    run(words)
