import pytest
import torch
from peft.tuners.lora import Linear

from emotion_lit import EmotionClassifier
from emotion_lit.model.merged_lora import MergedLoraLinear

IDS = torch.randint(1000, 20000, (6, 9), generator=torch.Generator().manual_seed(0))
TARGETS = torch.eye(3).repeat(2, 1)


@pytest.fixture
def model() -> EmotionClassifier:
    torch.manual_seed(0)
    model = EmotionClassifier(["a", "b", "c"], backbone="embedded", dropout=0.0)
    model.build()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return model


def gradients(model: EmotionClassifier) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model.loss(model({"input_ids": IDS}), TARGETS).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_outputs_and_gradients_are_those_of_peft(model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, ours_out = gradients(model), model({"input_ids": IDS})
    monkeypatch.setattr(MergedLoraLinear, "forward", Linear.forward)
    theirs, theirs_out = gradients(model), model({"input_ids": IDS})
    assert sum("lora_" in name for name in ours) == 72
    torch.testing.assert_close(ours_out, theirs_out, atol=1e-5, rtol=1e-4)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-3)


def test_evaluation_follows_training(model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fused optimizer changes weights without changing their version, which the merged weight once relied on."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True)

    def scores() -> torch.Tensor:
        model.eval()
        with torch.inference_mode():
            logits: torch.Tensor = model({"input_ids": IDS})
        model.train()
        return logits.clone()

    before = scores()
    gradients(model)
    optimizer.step()
    after = scores()
    monkeypatch.setattr(MergedLoraLinear, "forward", Linear.forward)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(after, scores(), atol=1e-4, rtol=1e-3)


def test_dropout_in_front_of_the_adapters_is_left_to_peft() -> None:
    model = EmotionClassifier(["a", "b", "c"], backbone="embedded", lora={"dropout": 0.5})  # type: ignore[arg-type]
    model.build()
    torch.manual_seed(0)
    first = gradients(model)
    torch.manual_seed(1)
    second = gradients(model)
    assert any(not torch.equal(first[name], second[name]) for name in first)
