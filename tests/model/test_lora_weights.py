from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from emotion_lit import load
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import KEY, read_checkpoint, weights_sha256
from emotion_lit.model.factory import restore
from emotion_lit.model.lora_weights import LoraMismatchError, merge_lora

IDS = torch.arange(100, 124).view(2, 12)


def pair(outputs: int, inputs: int, rank: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"0.lora_A.weight": torch.randn(rank, inputs), "0.lora_B.weight": torch.randn(outputs, rank)}


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), Conv1D(3, 5)])  # type: ignore[no-untyped-call]
def test_a_merged_layer_computes_the_layer_and_its_update(layer: nn.Module) -> None:
    weights, x = pair(3, 5), torch.randn(7, 5)
    expected = layer(x) + 4 * x @ weights["0.lora_A.weight"].T @ weights["0.lora_B.weight"].T
    merge_lora(nn.Sequential(layer), weights, 4.0)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    "weights",
    [pair(3, 6), pair(4, 5), {"0.lora_A.weight": torch.zeros(2, 5)}, {f"1.{k[2:]}": v for k, v in pair(3, 5).items()}],
)
def test_an_update_that_does_not_fit_changes_nothing(weights: dict[str, torch.Tensor]) -> None:
    layer = nn.Linear(5, 3)
    before = layer.weight.clone()
    with pytest.raises(LoraMismatchError):
        merge_lora(nn.Sequential(layer), weights, 1.0)
    assert torch.equal(layer.weight, before)


@torch.inference_mode()
def test_a_checkpoint_with_merged_adapters_gives_the_logits_of_one_with_adapters(tiny_run: Path) -> None:
    checkpoint = read_checkpoint(tiny_run)
    apart, merged = (restore(checkpoint, merge_adapters=merge).network for merge in (False, True))
    assert any("lora_A" in name for name, _ in apart.named_parameters())
    assert not any("lora_A" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(merged(IDS), apart(IDS), atol=1e-6, rtol=0)


@pytest.mark.parametrize("change", ["missing", "unknown", "another shape"])
def test_weights_that_do_not_fit_are_named(tiny_run: Path, tmp_path: Path, change: str) -> None:
    checkpoint: Any = read_checkpoint(tiny_run)
    weights = checkpoint["state_dict"]
    name = next(name for name in weights if name.endswith("lora_B.default.weight"))
    if change == "unknown":
        weights["network.body.extra"] = torch.zeros(1)
    else:
        tensor = weights.pop(name)
        if change == "another shape":
            weights[name] = torch.zeros(tensor.shape[0] + 1, tensor.shape[1])
    checkpoint[KEY]["weights_sha256"] = weights_sha256(weights)
    torch.save(checkpoint, tmp_path / "best.ckpt")
    with pytest.raises(UserError, match="the checkpoint does not fit the model"):
        load(tmp_path / "best.ckpt")
