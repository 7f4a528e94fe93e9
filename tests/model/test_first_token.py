"""The last layer computes the first token alone, and nothing else changes."""

import copy

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from emotion_lit.model.first_token import FAMILY
from emotion_lit.model.pooling import Network

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


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILY)
def test_logits_and_gradients_are_those_of_the_whole_layer(family: str, attention: str) -> None:
    model = network(family)
    model.set_attn_implementation(attention)
    whole = model(input_ids=IDS, attention_mask=MASK).logits
    expected = gradients(model, whole)
    cut = Network(model, "cls")
    logits = cut(IDS, MASK)
    torch.testing.assert_close(logits, whole)
    torch.testing.assert_close(gradients(model, logits), expected)
    assert cut.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state.shape == (2, 1, 32)


def test_a_copy_computes_with_its_own_weights() -> None:
    original = Network(network("bert"), "cls")
    copied = copy.deepcopy(original)
    for parameter in original.parameters():
        parameter.data.zero_()
    assert original(IDS, MASK).abs().max() == 0
    assert copied(IDS, MASK).abs().max() > 0


def test_means_of_tokens_still_read_all_of_them() -> None:
    model = Network(network("bert"), "mean").eval()
    assert model.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state.shape == (2, 5, 32)
