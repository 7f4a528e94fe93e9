"""Weights of linear layers in bfloat16 compute what autocast computes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from emotion_lit import EmotionClassifier
from emotion_lit.model.mixed_precision import FrozenWeights, linear_weights
from emotion_lit.model.network import Network

IDS = torch.randint(5, 100, (4, 7), generator=torch.Generator().manual_seed(0))


def built(backbone: Path, **settings: Any) -> Network:
    torch.manual_seed(0)
    model = EmotionClassifier(["a", "b", "c"], backbone=str(backbone), **settings)
    model.build()
    return model.built.eval()


def logits(network: Network) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        result: Tensor = network(IDS)
    return result


@pytest.mark.parametrize("settings", [{"tuning": "head"}, {"tuning": "full", "trainable_layers": 1}], ids=str)
def test_logits_and_state_dict_stay_the_same(tiny_backbone: Path, settings: dict[str, Any]) -> None:
    network = built(tiny_backbone, **settings)
    before, state = logits(network), {name: value.clone() for name, value in network.state_dict().items()}
    frozen = FrozenWeights(network, torch.bfloat16)
    stored = {name for name, weight in network.named_parameters() if weight.dtype == torch.bfloat16}
    assert stored == {name for name, weight in linear_weights(network) if not weight.requires_grad}
    assert stored
    assert torch.equal(logits(network), before)
    for restored in (False, True):
        if restored:
            frozen.restore()
        now = network.state_dict()
        assert list(now) == list(state)
        for name, value in state.items():
            assert now[name].dtype == value.dtype
            assert torch.equal(now[name], value)
    assert all(weight.dtype == torch.float32 for weight in network.parameters())


def test_adapters_are_added_to_the_stored_weight(tiny_backbone: Path) -> None:
    network = built(tiny_backbone, tuning="lora")
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.02)
    before = logits(network)
    network.train().eval()  # forgets the merged weights
    FrozenWeights(network, torch.bfloat16)
    assert any(weight.dtype == torch.bfloat16 for weight in network.parameters())
    torch.testing.assert_close(logits(network), before, atol=0.01, rtol=0.02)


def test_weights_with_another_use_are_left_alone() -> None:
    embedding, tied, own = nn.Embedding(9, 4), nn.Linear(4, 9), nn.Linear(4, 4)
    tied.weight = embedding.weight
    network = nn.ModuleDict({"embedding": embedding, "tied": tied, "own": own, "norm": nn.LayerNorm(4)})
    assert {name for name, _ in linear_weights(network)} == {"tied.bias", "own.weight", "own.bias"}
