"""`model.compile_encoder`: the same training, through torch.compile."""

from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.cli import main
from tests.conftest import SMALL

SETTINGS = ["--model.tuning=lora", "--model.dropout=0.0", "--trainer.precision=32-true", "--data.batch_size=20"]


def test_texts_are_padded_to_a_few_lengths(tmp_path: Path) -> None:
    cli = main(["fit", *SMALL, *SETTINGS, f"--trainer.default_root_dir={tmp_path}", "--trainer.fast_dev_run=1"])
    assert cli is not None
    assert cli.datamodule.pad_to_multiple_of == 1
    data = type(cli.datamodule)(dataset="sample", backbone="embedded", pad_to_multiple_of=16, tokens_per_batch=512)
    data.setup("fit")
    shapes = [batch["input_ids"].shape for batch in data.train_dataloader()]
    assert {length % 16 for _, length in shapes} == {0}
    assert all(rows * length <= 512 for rows, length in shapes)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_weights_are_those_of_a_run_without(tuning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 4)
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    weights: list[dict[str, Any]] = []
    for name, more in (("plain", []), ("compiled", ["--model.compile_encoder=true"])):
        settings = [*SETTINGS, f"--model.tuning={tuning}", f"--trainer.default_root_dir={tmp_path}", f"--name={name}"]
        cli = main(["fit", *SMALL, *settings, *more])
        assert cli is not None
        assert cli.datamodule.pad_to_multiple_of == (16 if more else 1)
        file = tmp_path / name / "version_0" / "checkpoints" / "last.ckpt"
        weights.append(torch.load(file, weights_only=True)["state_dict"])
    assert set(weights[0]) == set(weights[1])
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, atol=1e-4, rtol=1e-3)
