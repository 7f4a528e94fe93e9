"""Programs of the fork server behave as those that `python` starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fork_server import forked

SHOWS = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["SHOWN"], "torch" in sys.modules, sys.stdin.read())
print("to stderr", file=sys.stderr)
sys.exit(3)
"""
WAITS = """
import os, signal, sys, time
print("ready", flush=True)
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere `forked` is `python`")


@pytest.mark.parametrize(
    ("variable", "is_forked"), [("TORCHINDUCTOR_CACHE_DIR", True), ("PYTHONOPTIMIZE", False)], ids=["forked", "fresh"]
)
def test_words_streams_folder_environment_and_exit_code(tmp_path: Path, variable: str, is_forked: bool) -> None:
    forked.cache_clear()  # a server with today's environment, which other tests may have changed
    command = [*forked(), "-c", SHOWS, "a", "b c"]
    environment = {**os.environ, "SHOWN": "ü", variable: "1"}
    done = subprocess.run(command, input="typed", capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 3
    assert done.stdout == f"['-c', 'a', 'b c'] {tmp_path} ü {is_forked} typed\n"
    assert done.stderr == "to stderr\n"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)])
def test_signals_reach_the_program(sent: signal.Signals, code: int) -> None:
    with subprocess.Popen([*forked(), "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(sent)
        assert process.wait(20) == code


def test_a_killed_client_leaves_no_program() -> None:
    with subprocess.Popen([*forked(), "-c", WAITS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        start = time.monotonic()
        assert process.stdout.read() == b""  # the program, which holds the other end, is gone
        assert time.monotonic() - start < 20
