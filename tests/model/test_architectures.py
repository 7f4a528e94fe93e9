"""Layers of other architectures than BERT: run apart, and frozen."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AutoModel, DistilBertConfig, ModernBertConfig, RobertaConfig

from emotion_lit import EmotionClassifier
from emotion_lit.errors import UserError
from emotion_lit.model.backbone import load_tokenizer

TINY: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 101,
    "eos_token_id": 102,
}
CONFIGS: dict[str, Any] = {
    "distilbert": DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2),
    "roberta": RobertaConfig(**TINY, max_position_embeddings=514),
    "modernbert": ModernBertConfig(**TINY, cls_token_id=101, sep_token_id=102),
}


@pytest.mark.parametrize("architecture", CONFIGS)
def test_lower_and_upper_layers_can_run_apart(architecture: str, tmp_path: Path) -> None:
    make: Any = AutoModel.from_config
    make(CONFIGS[architecture]).save_pretrained(tmp_path)
    load_tokenizer("embedded").save_pretrained(tmp_path)
    model = EmotionClassifier(["a", "b", "c"], backbone=str(tmp_path), tuning="full", trainable_layers=1)
    model.build()
    network = model.eval().network
    assert network is not None
    ids = torch.randint(200, 1000, (4, 7))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    expected = network(ids, mask)
    torch.testing.assert_close(network.classify_states(network.states(ids, mask), ids, mask), expected)
    torch.testing.assert_close(network(ids, mask), expected)  # and it is whole again


def test_layers_that_share_their_weights_cannot_be_frozen_apart(tmp_path: Path) -> None:
    make: Any = AutoModel.from_config
    make(AlbertConfig(**TINY, embedding_size=16)).save_pretrained(tmp_path)
    load_tokenizer("embedded").save_pretrained(tmp_path)
    EmotionClassifier(["a", "b"], backbone=str(tmp_path), tuning="full", trainable_layers=1.0).build()
    with pytest.raises(UserError, match="AlbertModel has no layers with weights of their own"):
        EmotionClassifier(["a", "b"], backbone=str(tmp_path), tuning="full", trainable_layers=1).build()
