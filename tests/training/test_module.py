from pathlib import Path
from typing import Any

import pytest

from emotion_lit import EmotionClassifier, EmotionDataModule
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


def test_settings_are_attributes() -> None:
    model: Any = EmotionClassifier(["a", "b"], multi_label=True, threshold=0.4)
    assert (model.threshold, model.temperature) == (0.4, None)
    model.threshold, model.temperature = [0.2, 0.9], 2.0
    assert model.decision.thresholds == (0.2, 0.9)
    assert model.decision.temperature == 2
    with pytest.raises(UserError, match=r"model\.temperature is 0"):
        model.temperature = 0.0
    data: Any = EmotionDataModule("sample", max_length=32)
    data.batch_size = 4
    assert (data.dataset, data.max_length, data.settings.batch_size) == ("sample", 32, 4)


def test_a_setting_that_is_assigned_too_late_is_refused_or_takes_effect(tiny_backbone: Path) -> None:
    model: Any = EmotionClassifier(["a", "b"], backbone=str(tiny_backbone))
    model.tuning = "head"
    model.build()
    with pytest.raises(UserError, match=r"the network is built with model\.tuning; make a new EmotionClassifier"):
        model.tuning = "full"
    data: Any = EmotionDataModule("sample", str(tiny_backbone), train_size=10)
    assert len(data.rows("train")) == 10
    data.train_size = 20
    assert len(data.rows("train")) == 20
