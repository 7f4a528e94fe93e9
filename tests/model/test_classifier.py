from types import SimpleNamespace

import pytest
import torch

from emotion_lit import EmotionClassifier
from emotion_lit.errors import UserError
from emotion_lit.model.classifier import balanced_weights


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


def test_balanced_weights_average_to_one_over_the_rows() -> None:
    counts = [100, 50, 0, 10]
    weights = balanced_weights(counts)
    assert sum(w * c for w, c in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    assert weights[0] * 100 == pytest.approx(weights[3] * 10)


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0), ("constant", 1.0, 1.0)]
)
def test_schedules_rise_and_fall(schedule: str, middle: float, end: float) -> None:
    model = EmotionClassifier(["a", "b"], warmup=0.1, schedule=schedule)  # type: ignore[arg-type]
    model._trainer = SimpleNamespace(estimated_stepping_batches=100)  # type: ignore[assignment]
    factors = [model._learning_rate_factor(step) for step in range(101)]
    assert 0 < factors[0] < factors[5] < factors[10] == 1
    assert factors[55] == pytest.approx(middle, abs=0.01)
    assert factors[100] == pytest.approx(end)


def test_a_soft_target_is_its_own_minimum() -> None:
    model = EmotionClassifier(["a", "b", "c"])
    target = torch.tensor([[0.5, 0.5, 0.0]])
    even = model.loss(torch.tensor([[5.0, 5.0, -20.0]]), target)
    assert even < model.loss(torch.tensor([[8.0, 2.0, -20.0]]), target)


def test_several_labels_by_threshold() -> None:
    model = EmotionClassifier(["a", "b", "c"], multi_label=True, threshold=0.4)
    assert model.threshold_labels([0.5, 0.1, 0.9]) == ["c", "a"]
