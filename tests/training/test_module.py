import lightning.pytorch as pl
import pytest
import torch
from torch.nn import functional

from emotion_lit import EmotionClassifier
from emotion_lit.errors import UserError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ["only"]}, "at least two labels"),
        ({"warmup": 1.5}, r"model\.warmup"),
        ({"label_smoothing": -0.1}, r"model\.label_smoothing"),
        ({"dropout": 1.0}, r"model\.dropout"),
        ({"class_weights": [1.0]}, r"model\.class_weights has 1 entries for 2 labels"),
        ({"class_weights": [1.0, 0.0]}, r"model\.class_weights is 0\.0"),
        ({"class_weights": [float("inf"), 1.0]}, r"model\.class_weights is inf"),
        ({"temperature": float("nan")}, r"model\.temperature is nan"),
        ({"temperature": 0.0}, r"model\.temperature is 0\.0"),
        ({"threshold": float("nan")}, r"model\.threshold"),
    ],
)
def test_bad_settings_name_the_key(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EmotionClassifier(**{"labels": ["a", "b"], **settings})  # type: ignore[arg-type]


def test_a_soft_target_is_its_own_minimum() -> None:
    model = EmotionClassifier(["a", "b", "c"])
    target = torch.tensor([[0.5, 0.5, 0.0]])
    even = model.loss(torch.tensor([[5.0, 5.0, -20.0]]), target)
    assert even < model.loss(torch.tensor([[8.0, 2.0, -20.0]]), target)


@pytest.mark.parametrize("weights", [[3, 1], [3.0, 1.0]])
def test_weights_of_several_labels_are_those_of_the_rows_that_have_them(weights: list[float]) -> None:
    model = EmotionClassifier(["a", "b"], multi_label=True, class_weights=weights)
    model.trainer = pl.Trainer(barebones=True)
    model.setup("fit")
    logits, targets = torch.tensor([[0.7, -0.2], [0.1, 0.4]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert model.loss(logits, targets).item() == pytest.approx((each * torch.tensor([[3.0, 1], [1, 1]])).mean().item())
    assert model._plain_loss(logits, targets).item() == pytest.approx(each.mean().item())
