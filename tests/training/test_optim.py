import pytest

from emotion_lit.training.optim import (
    Schedule,
    balanced_pos_weights,
    balanced_weights,
    default_learning_rate,
    learning_rate_factor,
    parameter_groups,
)
from tests.model.test_tuning import classifier


def test_biases_and_norms_do_not_decay_and_the_head_has_its_own_rate() -> None:
    model = classifier(tuning="full")
    assert model.network is not None
    groups = {group["name"]: group for group in parameter_groups(model.network, 1e-5, 1e-3, 0.1)}
    assert set(groups) == {"encoder", "encoder_no_decay", "head", "head_no_decay"}
    assert groups["encoder"]["lr"] == 1e-5
    assert groups["head"]["lr"] == 1e-3
    assert groups["encoder_no_decay"]["weight_decay"] == groups["head_no_decay"]["weight_decay"] == 0
    assert all(parameter.ndim > 1 for parameter in groups["encoder"]["params"])
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))


def test_balanced_weights_average_to_one_over_the_rows() -> None:
    counts = [100, 50, 0, 10]
    weights = balanced_weights(counts)
    assert sum(w * c for w, c in zip(weights, counts, strict=True)) == pytest.approx(sum(counts))
    assert weights[0] * 100 == pytest.approx(weights[3] * 10)


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0), ("constant", 1.0, 1.0)]
)
def test_schedules_rise_and_fall(schedule: Schedule, middle: float, end: float) -> None:
    factors = [learning_rate_factor(step, 100, 0.1, schedule) for step in range(101)]
    assert 0 < factors[0] < factors[5] < factors[10] == 1
    assert factors[55] == pytest.approx(middle, abs=0.01)
    assert factors[100] == pytest.approx(end)


def test_narrower_encoders_take_larger_rates() -> None:
    assert default_learning_rate("full", 768) == 5e-5
    assert default_learning_rate("lora", 384) == 1e-3


def test_pos_weights_balance_both_sides_of_a_decision_and_stay_finite() -> None:
    assert balanced_pos_weights([25, 50, 0, 100, 80], rows=100) == [3.0, 1.0, 1.0, 1.0, 0.25]
    assert balanced_pos_weights([1, 9_999], rows=10_000) == [100.0, 0.01]
