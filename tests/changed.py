"""Runs the tests of what was changed, for at most a minute; tests that train come last.

    python -m tests.changed
    python -m tests.changed --since main --seconds 120 -x

Changed is what git lists as modified or new, with --since also what was committed since that commit. A module's tests
are tests/ROOM/test_MODULE.py and every test file that imports it. Other options go to pytest.
"""

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Tests that use these train a model, or use one that was trained.
TRAINING = {"train", "lora_run", "tiny_run", "drawn_run"}
# The tests of files that are no modules.
OTHERS = {".md": "tests/test_readme.py", ".toml": "tests/test_packaging.py", ".txt": "tests/test_versions.py"}


def changed(since: str | None) -> list[str]:
    """Returns the paths that differ from the last commit, or from another one, and those that are new."""
    commands = [["diff", "--name-only", since or "HEAD"], ["ls-files", "--others", "--exclude-standard"]]
    found = [
        subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True) for words in commands
    ]
    return [line for done in found for line in done.stdout.splitlines()]


def module_of(path: Path) -> str:
    """Returns the dotted name of a module."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path) -> set[str]:
    """Returns what a file imports, as dotted names: of `from a import b` both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files_to_run(paths: Iterable[str]) -> Iterator[str]:
    """Yields the test files of changed files, those of the same name first."""
    modules = set()
    for path in map(Path, paths):
        if path.name.startswith("test_") and (ROOT / path).is_file():
            yield path.as_posix()
        elif path.suffix == ".py":
            modules.add(module_of(path))
            mirror = Path("tests", *path.parts[1:-1], f"test_{path.name}")
            if path.parts[0] == "emotion_lit" and (ROOT / mirror).is_file():
                yield mirror.as_posix()
        elif path.suffix in OTHERS:
            yield OTHERS[path.suffix]
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if modules & imports(file):
            yield file.relative_to(ROOT).as_posix()


class Budget:
    """A pytest plugin: quick tests first, and none after the time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end, self.left = seconds, float("inf"), 0
        self.is_over = self.has_failed = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Sorts the tests, and starts the clock."""
        session.items.sort(key=lambda item: bool(TRAINING & set(getattr(item, "fixturenames", ()))))
        self.end, self.left = time.monotonic() + self.seconds, len(session.items)

    def pytest_runtest_logfinish(self) -> None:
        """Counts a test."""
        self.left -= 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remembers whether a test failed."""
        self.has_failed |= report.failed

    def exit_code(self, code: int) -> int:
        """Returns pytest's exit code, but that of passed tests where only the time was over."""
        return int(self.has_failed) if self.is_over else code

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Ends the session when the time is over."""
        if time.monotonic() > self.end:
            self.is_over = True
            item.session.shouldstop = f"{self.left} tests are left after {self.seconds:.0f} seconds; CI runs them"
            pytest.skip("no time left")


def main() -> int:
    """Runs pytest, and returns its exit code; 0 if nothing has to be tested."""
    parser = argparse.ArgumentParser(prog="python -m tests.changed")
    parser.add_argument("--since", help="Another commit than the last one, such as main.")
    parser.add_argument("--seconds", type=float, default=45, help="When to stop; importing takes some seconds more.")
    options, others = parser.parse_known_args()
    files = list(dict.fromkeys(files_to_run(changed(options.since))))
    if not files:
        sys.stdout.write("nothing that has tests was changed\n")
        return 0
    budget = Budget(options.seconds)
    code = pytest.main([*files, *others], plugins=[budget])
    return budget.exit_code(int(code))


if __name__ == "__main__":
    sys.exit(main())
