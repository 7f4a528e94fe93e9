"""What DDP is told about a network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, XLNetConfig

from emotion_lit import EmotionClassifier
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.training.strategies import weights_without_gradient


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_all_that_trains_gets_a_gradient(tiny_backbone: Path, tuning: Any, pooling: Any) -> None:
    model = EmotionClassifier(["a", "b"], backbone=str(tiny_backbone), tuning=tuning, pooling=pooling)
    model.build()
    assert model.network is not None
    state = torch.get_rng_state()
    assert weights_without_gradient(model.network) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weights_that_get_none_are_found(tmp_path: Path) -> None:
    config = XLNetConfig(vocab_size=30522, d_model=32, n_layer=2, n_head=2, d_inner=64, pad_token_id=0)
    make: Any = AutoModel.from_config
    make(config).save_pretrained(tmp_path)
    load_tokenizer("embedded").save_pretrained(tmp_path)
    model = EmotionClassifier(["a", "b"], backbone=str(tmp_path), tuning="full", pooling="mean")
    model.build()
    assert model.network is not None
    assert any(name.endswith("mask_emb") for name in weights_without_gradient(model.network))
