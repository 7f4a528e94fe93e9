"""What a training that runs out of memory prints, and that its advice works."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from emotion_lit.cli import main
from emotion_lit.model.network import Network
from tests.conftest import SMALL, failing

ROOM = 300


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves memory for a few tokens in a training step; without gradient, for all."""
    forward = Network.forward

    def limited(self: Network, input_ids: Tensor, *more: Any) -> Tensor:
        if torch.is_grad_enabled() and input_ids.numel() > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, input_ids, *more)

    monkeypatch.setattr(Network, "forward", limited)


@pytest.mark.usefixtures("room")
def test_the_advice_names_a_value_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", *SMALL, "--model.tuning=full", f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1"]
    line = failing(capsys, *words)
    assert "out of memory with batches of 1,024 tokens, and 256 fit: --data.tokens_per_batch 256; " in line
    assert "--trainer.accumulate_grad_batches 4 keeps the size of a step" in line
    main([*words, "--data.tokens_per_batch=256", "--trainer.accumulate_grad_batches=4"])
    assert (tmp_path / "emotion" / "version_1" / "report.json").is_file()


@pytest.mark.usefixtures("room")
def test_the_advice_for_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", *SMALL, "--model.tuning=full", f"--trainer.default_root_dir={tmp_path}", "--data.batch_size=40"]
    assert "out of memory with batches of 40 texts, and 5 fit: --data.batch_size 5; " in failing(capsys, *words)


def test_a_text_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, room: None
) -> None:
    monkeypatch.setattr("tests.training.callbacks.test_out_of_memory.ROOM", 3)
    words = ["fit", *SMALL, "--model.tuning=full", f"--trainer.default_root_dir={tmp_path}"]
    words += ["--trainer.precision=32-true"]  # which is checked before training, with a step
    line = failing(capsys, *words)
    assert "out of memory with a single text of" in line
    assert "take a smaller --data.max_length or --model.backbone" in line
