import pytest
import torch

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


def test_several_labels_by_threshold() -> None:
    model = EmotionClassifier(["a", "b", "c"], multi_label=True, threshold=0.4)
    assert model.threshold_labels([0.5, 0.1, 0.9]) == ["c", "a"]
