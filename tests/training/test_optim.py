import pytest

from emotion_lit.model.settings import Schedule
from emotion_lit.training.optim import default_learning_rate, learning_rate_factor, parameter_groups
from tests.model.test_tuning import classifier


def test_biases_and_norms_do_not_decay_and_the_head_has_its_own_rate() -> None:
    model = classifier(tuning="full", learning_rate=1e-5, head_learning_rate=1e-3, weight_decay=0.1)
    groups = {group["name"]: group for group in parameter_groups(model.built, model.settings)}
    assert set(groups) == {"encoder", "encoder_no_decay", "head", "head_no_decay"}
    assert groups["encoder"]["lr"] == 1e-5
    assert groups["head"]["lr"] == 1e-3
    assert groups["encoder_no_decay"]["weight_decay"] == groups["head_no_decay"]["weight_decay"] == 0
    assert all(parameter.ndim > 1 for parameter in groups["encoder"]["params"])
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))


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
