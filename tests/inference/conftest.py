"""A trained model in every form that `load` takes."""

from pathlib import Path

import pytest

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.inference.predictor import Predictor
from tests.conftest import BACKBONE, Train

KINDS = ("checkpoint", "hf", "adapter", "onnx")


@pytest.fixture(scope="session")
def places(train: Train, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run, and its exports."""
    run = train("--model.tuning=lora", "--model.learning_rate=1e-3", "--model.pooling=cls")
    folder = tmp_path_factory.mktemp("exports")
    for kind in KINDS[1:]:
        main(["export", f"--ckpt_path={run}", f"--output={folder / kind}", f"--format={kind}"])
    return {"checkpoint": run, **{kind: folder / kind for kind in KINDS[1:]}}


def loaded(place: str | Path, kind: str) -> Predictor:
    """The model at a place; an adapter and the checkpoint of one need their base model."""
    return load(place, backbone=str(BACKBONE) if kind in ("adapter", "checkpoint") else None)
