import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModel

from emotion_lit.model.attention import use_own_attention
from emotion_lit.model.backbone import locate
from emotion_lit.model.cpu_kernels import (
    ByteDropout,
    byte_dropout,
    check_byte_dropout,
    eager_attention,
    use_byte_dropout,
    use_eager_attention,
    use_own_dropout,
)


def test_dropout_drops_the_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    values = torch.ones(1001, 333, requires_grad=True)
    dropped = byte_dropout(values, 0.1)
    share = (dropped == 0).float().mean().item()
    assert abs(share - 26 / 256) < 0.002
    assert abs(dropped.mean().item() - 1) < 0.002
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    torch.testing.assert_close(values.grad, dropped.detach())


def test_dropout_is_a_function_of_the_seed_and_off_in_evaluation() -> None:
    layer, values = ByteDropout(0.5), torch.ones(7, 5)
    torch.manual_seed(3)
    first = layer(values)
    assert not torch.equal(first, layer(values))
    torch.manual_seed(3)
    assert torch.equal(first, layer(values))
    assert torch.equal(layer.eval()(values), values)


def test_an_encoder_says_the_same() -> None:
    encoder = AutoModel.from_pretrained(locate("embedded"), dtype=torch.float32).eval()
    ids = torch.randint(1000, 20000, (3, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    with torch.inference_mode():
        before = encoder(ids, mask).last_hidden_state[mask.bool()]
        own = encoder.config._attn_implementation
        use_eager_attention(encoder)
        use_byte_dropout(encoder)
        after = encoder(ids, mask).last_hidden_state[mask.bool()]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
    assert sum(isinstance(module, ByteDropout) for module in encoder.modules()) > 6
    use_own_dropout(encoder)
    use_own_attention(encoder)
    assert not any(isinstance(module, ByteDropout) for module in encoder.modules())
    assert encoder.config._attn_implementation == own


@pytest.mark.parametrize("p", [0.001, 0.05, 0.1, 0.5, 0.9, 1.0])
def test_dropout_checks_its_share_and_its_scale(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.get_rng_state()
    check_byte_dropout(p)
    assert torch.equal(torch.get_rng_state(), state)
    if 0.01 < p < 1:
        monkeypatch.setattr("emotion_lit.model.cpu_kernels.byte_dropout", lambda values, _: values)
        with pytest.raises(RuntimeError, match=r"drops 0\.00% of the elements"):
            check_byte_dropout(p)


def test_dropout_draws_where_the_values_are() -> None:
    assert byte_dropout(torch.ones(3, 5, device="meta"), 0.5).device.type == "meta"


def test_heads_of_the_query_share_keys() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 7, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    expected = scaled_dot_product_attention(query, key, value, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(eager_attention(torch.nn.Identity(), query, key, value, None)[0], expected)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tokens", [1, 15, 16, 31, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_and_its_gradients_are_torchs_at_every_length(dtype: torch.dtype, tokens: int, masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, tokens, 8).to(dtype).requires_grad_() for _ in range(3))
    lengths = torch.tensor([tokens, (tokens + 1) // 2, 1])
    is_padding = torch.arange(tokens) >= lengths[:, None, None, None]
    mask = torch.zeros(is_padding.shape, dtype=dtype).masked_fill(is_padding, torch.finfo(dtype).min)
    attention_mask = mask if masked else None
    upstream = torch.randn(3, tokens, 2, 8).to(dtype)

    def with_gradients(output: Tensor) -> list[Tensor]:
        return [output, *torch.autograd.grad(output, (query, key, value), upstream)]

    output, weights = eager_attention(torch.nn.Identity(), query, key, value, attention_mask)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask).transpose(1, 2)
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(with_gradients(output), with_gradients(expected), atol=tolerance, rtol=tolerance)
    assert weights.shape == (3, 2, tokens, tokens)
