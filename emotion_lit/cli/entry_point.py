"""The entry point of the program: what concerns the whole process, and which command runs."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.cli import ArgsType

from emotion_lit.cli import error_handling
from emotion_lit.cli.predict import EmotionProgram
from emotion_lit.errors import UserError, unknown
from emotion_lit.training.run import start_run
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.utils import library_logging, platforms
from emotion_lit.utils.commands import COMMANDS, HELP, overview
from emotion_lit.utils.memory import keep_freed_memory, limit_kernel_cache
from emotion_lit.utils.streams import open_streams

# Commands in modules of their own, with the same names.
TOOLS = ("join", "sweep", "export", "report", "cache")


def main(args: ArgsType = None) -> EmotionCLI | None:
    """Runs a command; a user's mistake ends it with a one-line error and exit code 2.

    Args:
        args: The words of the command; by default those of the process.

    Returns:
        The data, the model and the Trainer of a command that has them.

    Raises:
        KeyboardInterrupt: It was interrupted; the command to resume has been printed.
    """
    open_streams()
    start_run()
    library_logging.quiet_libraries()
    limit_kernel_cache()
    keep_freed_memory()
    platforms.limit_threads_to_cpu_quota()
    typed = sys.argv[1:] if args is None else args
    if typed in HELP:
        sys.stdout.write(overview())
        raise SystemExit(0)
    with error_handling.one_line_errors(typed if isinstance(typed, list) else []):
        return _run(typed)


def _run(typed: Any) -> EmotionCLI | None:
    if isinstance(typed, list):
        _check_encoding(typed)
        command = typed[0]
        if command in TOOLS:
            importlib.import_module(f"emotion_lit.cli.{command}").main(typed[1:])
            return None
        if command not in COMMANDS and not command.startswith("-"):
            raise unknown("the command", command, COMMANDS)
    return EmotionProgram(typed)


def _check_encoding(words: Sequence[str]) -> None:
    """Refuses words that the locale has no letters for: no file could be named after them."""
    encoding = sys.getfilesystemencoding()
    odd = next((word for word in words if not word.isascii()), None)
    if encoding != "utf-8" and odd is not None:
        readable = os.fsencode(odd).decode("utf-8", "replace").encode("ascii", "backslashreplace").decode()
        raise UserError(f"the locale's encoding is {encoding}, which cannot write {readable}; set PYTHONUTF8=1")
