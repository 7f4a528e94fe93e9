"""Stands in for `python` in tests that start the program; the fork server runs it, without the seconds of imports.

    python -IS tests/fork_client.py SOCKET -m emotion_lit fit

It has the streams, the folder, the environment and the exit code of the program, and passes signals on. Where the
environment asks for another start of Python, it becomes a fresh one.
"""

import json
import os
import signal
import socket
import sys
from typing import NoReturn

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def main() -> NoReturn:
    """Runs the program, and ends as it does."""
    place, *words = sys.argv[1:]
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:  # closed, and so nothing to hand on
        _start(words)
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    for number in PASSED_ON:
        signal.signal(number, lambda received, _: server.send(bytes([received])))
    folder = os.getcwd()  # noqa: PTH109, pathlib takes longer to import than all else here
    request = json.dumps({"words": words, "folder": folder, "environment": dict(os.environ)}).encode()
    socket.send_fds(server, [len(request).to_bytes(8, "little")], [0, 1, 2])
    server.sendall(request)
    answer = server.recv(8)
    if answer == b"fresh":
        _start(words)
    code = int(answer or b"-9")  # nothing where the server was killed
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _start(words: list[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606, this very Python


if __name__ == "__main__":
    main()
