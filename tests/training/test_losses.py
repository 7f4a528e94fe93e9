import lightning.pytorch as pl
import pytest
import torch
from torch.nn import functional

from emotion_lit import EmotionClassifier
from emotion_lit.training.losses import balanced_pos_weights, balanced_weights


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


def test_balanced_weights_average_to_one_over_the_rows() -> None:
    counts = [100, 50, 0, 10]
    weights = balanced_weights(counts)
    assert sum(w * c for w, c in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    assert weights[0] * 100 == pytest.approx(weights[3] * 10)


def test_pos_weights_balance_both_sides_of_a_decision_and_stay_finite() -> None:
    assert balanced_pos_weights([25, 50, 0, 100, 80], rows=100) == [3.0, 1.0, 1.0, 1.0, 0.25]
    assert balanced_pos_weights([1, 9_999], rows=10_000) == [100.0, 0.01]
