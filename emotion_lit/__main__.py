"""``python -m emotion_lit``, and the console script."""

import gc
import locale
import os
import subprocess
import sys
from collections.abc import Callable

from emotion_lit import __version__
from emotion_lit.utils.commands import HELP, overview


def run() -> None:
    """Runs the command of the process; help and version come without the seconds that PyTorch takes to import."""
    arguments = sys.argv[1:]
    if arguments in HELP:
        sys.stdout.write(overview())
    elif arguments == ["--version"]:
        sys.stdout.write(f"emotion_lit {__version__}\n")
    elif _lacks_utf8():
        sys.exit(subprocess.call([sys.executable, "-X", "utf8", *sys.orig_argv[1:]]))  # noqa: S603, this very command
    else:
        _command()


def _lacks_utf8() -> bool:
    """Whether Python reads and writes files in another encoding; libraries would take configurations for it."""
    return not sys.flags.utf8_mode and locale.getpreferredencoding(False).lower().replace("-", "") != "utf8"


def _command() -> None:
    """Runs a command of which no failure ends in a traceback."""
    from emotion_lit.utils import console, failures, signals
    from emotion_lit.utils.streams import close_streams, open_streams

    open_streams()
    if sys.flags.optimize > 1:
        console.say(
            "error: python -OO takes away texts that transformers and --help need; use -O, or neither", wrap=False
        )
        raise SystemExit(2)
    with signals.handled():
        try:
            main = _prepared_main()
            main()
            close_streams()
        except (signals.Stop, KeyboardInterrupt) as stop:
            close_streams()
            # A thread may be waiting for standard input, and Python would wait for the thread.
            os._exit(128 + (stop.signal if isinstance(stop, signals.Stop) else signals.INTERRUPT))
        except SystemExit:
            close_streams()
            raise
        except BaseException as error:  # Rust threads raise errors that are not Exceptions
            line = failures.explain(error)
            console.say(f"error: {line}" if line else failures.unexpected(error), wrap=False)
            close_streams()
            raise SystemExit(2 if line else 1) from None


def _prepared_main() -> Callable[[], object]:
    """The command line, whose libraries take seconds to import."""
    from emotion_lit.utils import console, signals
    from emotion_lit.utils.caches import set_library_caches

    set_library_caches()
    gc.disable()  # imports leave no garbage, and looking for it takes a sixth of their time
    try:
        from emotion_lit.cli.entry_point import main
    except signals.Stop as stop:
        console.say(f"{signals.NAMES[stop.signal]} before the start")
        raise
    finally:
        gc.freeze()
        gc.enable()
    return main


if __name__ == "__main__":
    run()
