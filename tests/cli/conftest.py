"""Exports of two tiny models, made once: one with one label for each text, and one with several."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.exports import SEVERAL, export, spread
from tests.conftest import Train

# The run and the folder of its exports, by format, of several labels or one.
Exported = Callable[[bool], tuple[Path, Path]]


@pytest.fixture(scope="session")
def exported(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Trains an adapter, and writes it in every format."""
    made: dict[bool, tuple[Path, Path]] = {}

    def make(several: bool) -> tuple[Path, Path]:
        if several not in made:
            folder = tmp_path_factory.mktemp("exports")
            run = spread(train("--model.tuning=lora", *(SEVERAL if several else ())), folder / "run" / "version_0")
            for kind in ("hf", "adapter", "onnx"):
                export(run, folder / kind, kind)
            made[several] = run, folder
        return made[several]

    return make
