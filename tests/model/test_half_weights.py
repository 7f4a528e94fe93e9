"""Weights in half precision are cast once; labels stay those of autocast, and the network stays as it is."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import tokenize
from emotion_lit.model import half_weights
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.factory import build
from emotion_lit.model.half_weights import PackedLinear, recurring_size, with_half_weights
from emotion_lit.model.network import Network
from emotion_lit.model.settings import ModelSettings
from tests.model.encoders import make_encoder

TEXTS = ["what a day!", "I can't stop worrying about tomorrow", "she said yes", "no " * 40, "so" * 300]
EPS = torch.finfo(torch.bfloat16).eps


def built(backbone: Path | str, **settings: object) -> Network:
    torch.manual_seed(0)
    return build(ModelSettings(["a", "b", "c"], backbone=str(backbone), **settings)).network.eval()  # type: ignore[arg-type]


@torch.inference_mode()
def logits(network: Network) -> Tensor:
    tokenizer = load_tokenizer("embedded")
    batch = pad(tokenize(TEXTS, tokenizer, 64), range(len(TEXTS)), Padding.of(tokenizer))
    with torch.autocast("cpu", torch.bfloat16):
        return network(batch["input_ids"], batch["attention_mask"])  # type: ignore[no-any-return]


def packed_layers(network: nn.Module) -> int:
    return sum(isinstance(module, PackedLinear) for module in network.modules())


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_logits_are_those_of_autocast_and_the_network_is_unchanged(
    pooling: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = built("embedded", tuning="full", pooling=pooling)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    expected = logits(network)
    half = with_half_weights(network, torch.bfloat16, load_tokenizer("embedded"))
    assert packed_layers(half) == sum(type(module) is nn.Linear for module in network.modules()) > 30
    torch.testing.assert_close(logits(half), expected, atol=8 * EPS * float(expected.abs().max()), rtol=0)
    assert not packed_layers(network)
    assert torch.equal(logits(network), expected)
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())
    assert not capsys.readouterr().err


def test_embeddings_are_shared_with_the_network(tiny_backbone: Path) -> None:
    network = built(tiny_backbone, tuning="full")
    half = with_half_weights(network, torch.bfloat16, load_tokenizer("embedded"))
    pairs = zip(network.embeddings, half.embeddings, strict=True)
    assert all(
        a.data_ptr() == b.data_ptr()
        for one, two in pairs
        for a, b in zip(one.parameters(), two.parameters(), strict=True)
    )


def test_kernels_are_compiled_for_a_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    half = with_half_weights(built("embedded", tuning="full"), torch.bfloat16, load_tokenizer("embedded"))
    sizes = set()
    cast_and_pad = half_weights._cast_and_pad

    def watched(rows: Tensor, dtype: torch.dtype) -> Tensor:
        padded = cast_and_pad(rows, dtype)
        sizes.add(len(padded))
        assert torch.equal(padded[: len(rows)], rows.to(dtype))
        return padded

    monkeypatch.setattr(half_weights, "_cast_and_pad", watched)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for texts, tokens in [(102, 20), (89, 23), (93, 22), (64, 32), (113, 18)]:
            half(torch.randint(1000, 2000, (texts, tokens)))
    assert 2048 in sizes
    assert {size for size in sizes if size > 128} == {2048}  # the head and the last layer have a row per text
    assert all(recurring_size(rows) >= rows for rows in range(1, 5000))
    assert len({recurring_size(rows) for rows in range(1, 5000)}) < 60


def test_gelu_is_computed_with_the_product_before_it(tiny_backbone: Path) -> None:
    layer = nn.Linear(32, 64)
    states = torch.randn(7, 32)
    expected = nn.functional.gelu(layer(states.bfloat16().float()))
    found = PackedLinear(layer, torch.bfloat16, gelu=True)(states)
    torch.testing.assert_close(found.float(), expected, atol=4 * EPS, rtol=4 * EPS)
    half = with_half_weights(built(tiny_backbone, tuning="full"), torch.bfloat16, load_tokenizer("embedded"))
    kinds = Counter(type(getattr(module, "intermediate_act_fn", None)) for module in half.modules())
    assert kinds[nn.Identity] == half.depth


@pytest.mark.parametrize("name", ["albert", "distilbert", "deberta-v2", "modernbert", "t5"])
def test_other_architectures(name: str, tmp_path: Path) -> None:
    network = built(make_encoder(name, tmp_path), tuning="full", pooling="mean")
    expected = logits(network)
    half = with_half_weights(network, torch.bfloat16, load_tokenizer("embedded"))
    torch.testing.assert_close(logits(half), expected, atol=8 * EPS * float(expected.abs().max()), rtol=0)


def test_layers_of_peft_are_left_as_they_are(tiny_backbone: Path) -> None:
    network = built(tiny_backbone, tuning="lora")
    half = with_half_weights(network, torch.bfloat16, load_tokenizer("embedded"))
    assert any(hasattr(module, "lora_A") for module in half.modules())
    assert packed_layers(half) == 2  # the pooler's and the classifier's
    expected = logits(network)
    torch.testing.assert_close(logits(half), expected, atol=8 * EPS * float(expected.abs().max()), rtol=0)


class Wrong(PackedLinear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * 1.5


class Failing(PackedLinear):
    def __init__(self, *_: object) -> None:
        raise RuntimeError("no such operator")


@pytest.mark.parametrize(("layer", "problem"), [(Wrong, "logits are off by"), (Failing, "no such operator")])
def test_where_they_fail_autocast_is_used_with_a_notice(
    layer: type, problem: str, tiny_backbone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = built(tiny_backbone, tuning="full")
    monkeypatch.setattr(half_weights, "PackedLinear", layer)
    assert with_half_weights(network, torch.bfloat16, load_tokenizer("embedded")) is network
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "fast path left out: weights in half precision" in said
    assert problem in said


def test_layers_on_a_gpu_are_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(4, 3)
    monkeypatch.setattr(half_weights, "_is_on_cpu", lambda _: False)
    for dtype in (torch.float16, torch.bfloat16):
        cast = half_weights._half(layer, dtype, gelu=False)
        assert isinstance(cast, nn.Linear)
        assert torch.equal(cast.weight, layer.weight.to(dtype))
        assert torch.equal(cast.bias, layer.bias.to(dtype))
