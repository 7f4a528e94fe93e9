"""A terminal for the tests: a program runs under a pseudo-terminal, and an emulator (pyte) reads its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyte

from tests.fork_server import forked

# Enough that nothing scrolls out of sight.
LINES = 400


@dataclass
class Session:
    """What a person saw of a program.

    Args:
        code: The exit code; -N where signal N ended it.
        screen: The screen at the end, without the blanks at the ends of lines, and without empty lines below.
        frames: The line of the cursor each time something was written, without repeats: what a bar showed.
        raw: All that was written.
    """

    code: int
    screen: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    raw: str = ""

    @property
    def text(self) -> str:
        """The screen at the end as one text."""
        return "\n".join(self.screen)


def at_terminal(
    *command: str,
    columns: int = 80,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> Session:
    """Runs a program at a terminal.

    Args:
        command: The program and its arguments.
        columns: The width of the terminal.
        cwd: Where to run it.
        env: Variables to set, besides those of this process.
        timeout: Seconds after which it is killed, and the test fails.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    variables = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    for name in ("COLUMNS", "LINES"):
        variables.pop(name, None)
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=cwd, env=variables, start_new_session=True
    )
    os.close(terminal)
    screen = pyte.Screen(columns, LINES)
    stream = pyte.ByteStream(screen)
    session, written, ends = Session(0), bytearray(), time.monotonic() + timeout
    try:
        while True:
            if time.monotonic() > ends:
                os.killpg(process.pid, signal.SIGKILL)
                raise AssertionError(f"{command} ran longer than {timeout} s:\n{_lines(screen)}")
            if not select.select([controller], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(controller, 65536)
            except OSError:  # Linux says so when the program has closed its end
                break
            if not chunk:
                break
            written += chunk
            # A bar begins its line anew, so each piece leaves one state of it on the screen.
            for piece in chunk.replace(b"\r", b"\0\r").split(b"\0"):
                stream.feed(piece)
                cells = screen.buffer[screen.cursor.y]  # `display` would render all lines
                line = "".join(cells[column].data for column in range(columns)).rstrip()
                if line and (not session.frames or session.frames[-1] != line):
                    session.frames.append(line)
    finally:
        os.close(controller)
    session.code = process.wait()
    session.screen = _lines(screen)
    session.raw = written.decode("utf-8", "replace")
    return session


def emotion_lit(*arguments: str, columns: int = 80, cwd: Path | None = None, **env: str) -> Session:
    """Runs the program at a terminal, in a process of the fork server.

    Args:
        arguments: What is typed after its name.
        columns: The width of the terminal.
        cwd: Where to run it.
        env: Variables to set.
    """
    return at_terminal(*forked(), "-m", "emotion_lit", *arguments, columns=columns, cwd=cwd, env=env)


def _lines(screen: pyte.Screen) -> list[str]:
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines
