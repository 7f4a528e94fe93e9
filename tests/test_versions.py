"""The declared versions: each has a lower bound, private names have a cap, and what is pinned lies between."""

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.versions import ROOT, lowest, newest, replaced, requirements


def test_lower_bounds() -> None:
    pins = lowest()
    assert len(pins) == len(requirements()) > 20
    for requirement, pin in zip(requirements(), pins, strict=True):
        assert requirement.specifier.contains(pin.partition("==")[2])


@pytest.mark.parametrize("name", ["lightning", "transformers", "peft", "jsonargparse"])
def test_libraries_whose_private_names_are_used_are_capped(name: str) -> None:
    specifier = next(each.specifier for each in requirements() if each.name == name)
    assert "<" in {each.operator for each in specifier}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-newest.txt"])
def test_pins_are_what_the_package_allows(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    for requirement in requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_both_constraint_files_pin_the_same_packages() -> None:
    names = [
        {
            canonicalize_name(line.partition("==")[0])
            for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        }
        for file in ("constraints.txt", "constraints-newest.txt")
    ]
    assert names[0] == names[1]


def test_caps_are_the_minor_after_the_newest_that_was_tested() -> None:
    newest_of = {Requirement(pin).name.lower(): pin.partition("==")[2] for pin in newest()}
    for requirement in requirements():
        for cap in (each.version for each in requirement.specifier if each.operator == "<"):
            major, minor = newest_of[requirement.name].split(".")[:2]
            assert cap == f"{major}.{int(minor) + 1}", requirement


def test_a_pin_of_ones_own_takes_the_place_of_the_declared_one() -> None:
    assert replaced(["torch==2.6", "peft==0.18"], ["torch==2.13.0"]) == ["torch==2.13.0", "peft==0.18"]
