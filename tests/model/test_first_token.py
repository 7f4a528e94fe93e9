"""The last layer computes the first token alone, and nothing else changes."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from emotion_lit.model.first_token import FAMILY, keep_all_tokens, keep_first_token
from emotion_lit.model.network import Network

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = (IDS > 0).long()


def network(family: str) -> PreTrainedModel:
    config = AutoConfig.for_model(family, **SIZES, vocab_size=50, pad_token_id=0, num_labels=3)
    torch.manual_seed(0)
    made: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    made.eval()  # type: ignore[no-untyped-call]
    return made


def gradients(model: torch.nn.Module, logits: Tensor) -> list[Tensor]:
    model.zero_grad()
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def cut(model: PreTrainedModel) -> Network:
    keep_first_token(model)
    return Network(model, "cls")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILY)
def test_logits_and_gradients_are_those_of_the_whole_layer(family: str, attention: str) -> None:
    model = network(family)
    model.set_attn_implementation(attention)
    whole = model(input_ids=IDS, attention_mask=MASK).logits
    expected = gradients(model, whole)
    shorter = cut(model)
    logits = shorter(IDS, MASK)
    torch.testing.assert_close(logits, whole)
    torch.testing.assert_close(gradients(model, logits), expected)
    assert shorter.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state.shape == (2, 1, 32)
    keep_all_tokens(model)
    assert shorter.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state.shape == (2, 5, 32)


def test_a_mask_of_texts_and_tokens() -> None:
    """Fused attention for packed texts takes it as it is."""
    model = network("bert")
    base: Any = model.base_model
    states = base(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states[-2]
    attention = base.encoder.layer[-1].attention.self
    expected = attention(states[1:, :3])[0][:, :1]
    keep_first_token(model)
    for kind in ("sdpa", "eager", "flash_attention_2"):
        model.config._attn_implementation = kind
        found = attention(states, MASK)[0]
        torch.testing.assert_close(found[1:], expected)


def test_a_copy_computes_with_its_own_weights() -> None:
    original = cut(network("bert"))
    copied = copy.deepcopy(original)
    for parameter in original.parameters():
        parameter.data.zero_()
    assert original(IDS, MASK).abs().max() == 0
    assert copied(IDS, MASK).abs().max() > 0


def test_means_of_tokens_still_read_all_of_them() -> None:
    model = Network(network("bert"), "mean").eval()
    assert model.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state.shape == (2, 5, 32)
