import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit import load
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import KEY, MODEL_KEY, read_checkpoint
from emotion_lit.model.checkpoint.keys import FORMAT
from emotion_lit.model.checkpoint.migrations import MIGRATIONS

TEXTS = ["what a day!", "the shop opens at nine"]


@pytest.fixture
def first(tiny_run: Path) -> dict[str, Any]:
    """A checkpoint as the first version wrote it: format 1, without calibration and frozen layers."""
    checkpoint: dict[str, Any] = torch.load(tiny_run / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint = copy.deepcopy(checkpoint)
    checkpoint[KEY]["format"] = 1
    for key in ("paths", "files_sha256"):
        del checkpoint[KEY][key]
    for key in ("temperature", "trainable_layers", "fast_paths", "cache_features", "compile_encoder"):
        del checkpoint[MODEL_KEY][key]
    return checkpoint


def test_a_checkpoint_of_format_1_predicts_what_it_predicted(
    first: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    torch.save(first, tmp_path / "first.ckpt")
    now = torch.load(tiny_run / "checkpoints" / "best.ckpt", weights_only=True)
    now[MODEL_KEY]["temperature"] = None
    torch.save(now, tmp_path / "now.ckpt")
    migrated = read_checkpoint(tmp_path / "first.ckpt")
    assert migrated[KEY]["format"] == FORMAT
    assert migrated[MODEL_KEY]["temperature"] is None
    backbone = now[MODEL_KEY]["backbone"]
    found, wanted = (load(tmp_path / f"{name}.ckpt", backbone).probabilities(TEXTS) for name in ("first", "now"))
    assert torch.equal(found, wanted)


def test_only_earlier_formats_may_lack_settings(first: dict[str, Any], tmp_path: Path) -> None:
    first[KEY]["format"] = FORMAT
    torch.save(first, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match="is missing"):
        read_checkpoint(tmp_path / "odd.ckpt")


def test_every_earlier_format_has_a_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))
