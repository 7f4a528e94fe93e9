"""Runs the tests in a fresh environment, with the lowest or the newest releases that the package declares.

    python -m tests.versions lowest
    python -m tests.versions newest --pin torch==2.13.0 tests/model tests/test_cli.py

`lowest` takes the lower bounds in pyproject.toml, `newest` the releases in constraints-newest.txt, or with --renew the
newest that the bounds allow, which are written to constraints-newest.txt when the tests pass.
"""

import argparse
import itertools
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEWEST = ROOT / "constraints-newest.txt"
# A build of torch requires its own releases of these.
OF_TORCH = ("cuda-", "nvidia-", "triton")


def requirements() -> list[Requirement]:
    """Returns what the package and all its extras require."""
    extras = itertools.chain.from_iterable(PROJECT["optional-dependencies"].values())
    parsed = (Requirement(text) for text in (*PROJECT["dependencies"], *extras))
    return [requirement for requirement in parsed if requirement.name != PROJECT["name"]]


def lowest() -> list[str]:
    """Returns the lower bounds as pins.

    Raises:
        ValueError: A requirement has none.
    """
    pins = []
    for requirement in requirements():
        bound = next((each.version for each in requirement.specifier if each.operator in (">=", "==")), None)
        if bound is None:
            raise ValueError(f"{requirement} has no lower bound; give it the lowest release that the tests pass with")
        pins.append(f"{requirement.name}=={bound}")
    return pins


def newest() -> list[str]:
    """Returns the pins in constraints-newest.txt."""
    return [line for line in NEWEST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def replaced(pins: Iterable[str], by: Iterable[str]) -> list[str]:
    """Returns the pins with those of the same names replaced.

    Args:
        pins: As NAME==VERSION.
        by: Likewise.
    """
    return list({pin.partition("==")[0].lower(): pin for pin in (*pins, *by)}.values())


def install(folder: Path, pins: Sequence[str]) -> str:
    """Installs the package with all its extras into a new environment.

    Args:
        folder: Where the environment goes.
        pins: The releases to take.

    Returns:
        Its Python.
    """
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    extras = ",".join(PROJECT["optional-dependencies"])
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, "-e", f"{ROOT}[{extras}]"], check=True)
    return python


def freeze(python: str, arguments: Sequence[str]) -> str:
    """Returns the releases of an environment as constraints, with how they were made in the first line.

    Args:
        python: Its Python.
        arguments: What this program was called with.
    """
    words = [python, "-m", "pip", "freeze", "--exclude-editable"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    made = shlex.join(["python", "-m", "tests.versions", *arguments])
    when = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    head = f"# The newest releases that the tests pass with, made by `{made}` ({when})."
    pins = [line.partition("+")[0] for line in lines if not line.startswith(OF_TORCH)]
    return "\n".join([head, *pins]) + "\n"


def main() -> int:
    """Installs, tests, and returns the exit code of the tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions")
    parser.add_argument("which", choices=["lowest", "newest"])
    parser.add_argument("tests", nargs="*", help="Which tests; all of them if not given.")
    parser.add_argument(
        "--pin", action="append", default=[], metavar="NAME==VERSION", help="Take this release instead."
    )
    parser.add_argument("--renew", action="store_true", help="Make constraints-newest.txt anew, if the tests pass.")
    options = parser.parse_intermixed_args()
    if options.renew and options.which == "lowest":
        parser.error("--renew goes with newest")
    declared = lowest() if options.which == "lowest" else [] if options.renew else newest()
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder), replaced(declared, options.pin))
        words = [
            python,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-n",
            "auto",
            "--maxprocesses",
            "4",
            "--dist",
            "loadfile",
        ]
        code = subprocess.call([*words, *options.tests], cwd=ROOT)
        if code == 0 and options.renew:
            NEWEST.write_text(freeze(python, sys.argv[1:]), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
