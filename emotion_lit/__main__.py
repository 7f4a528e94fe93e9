"""``python -m emotion_lit``, and the console script."""

import sys

from emotion_lit import __version__
from emotion_lit.commands import HELP, overview


def run() -> None:
    """Runs the command of the process; help and version come without the seconds that PyTorch takes to import."""
    arguments = sys.argv[1:]
    if arguments in HELP:
        sys.stdout.write(overview())
    elif arguments == ["--version"]:
        sys.stdout.write(f"emotion_lit {__version__}\n")
    else:
        from emotion_lit.caches import place_library_caches

        place_library_caches()
        from emotion_lit.cli import main

        main()


if __name__ == "__main__":
    run()
