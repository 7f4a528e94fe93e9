"""What is predicted: ties, thresholds to the last digit, and what is no number."""

import numpy as np
import pytest
import torch

from emotion_lit.model.decision import decide, ranking
from emotion_lit.training.module import EmotionClassifier

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_class_is_the_most_probable_and_of_equals_the_first(dtype: torch.dtype) -> None:
    probabilities = torch.tensor([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0], [1 / 3] * 3, [NAN, 0.9, 0.1]], dtype=dtype)
    assert decide(probabilities, False, [0.5] * 3).int().tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert ranking(probabilities[:3])[:, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_several_classes_are_those_that_reach_their_thresholds(dtype: torch.dtype) -> None:
    probabilities = torch.tensor([[0.5, 0.25], [0.75, 0.125], [0.25, 0.0], [NAN, 1.0], [INF, 1.0]], dtype=dtype)
    found = decide(probabilities, True, [0.5, 0.25])
    assert found.int().tolist() == [[1, 1], [1, 0], [0, 0], [0, 0], [0, 0]]


def test_no_rows_are_no_predictions() -> None:
    for multi_label in (False, True):
        assert decide(torch.empty(0, 3), multi_label, [0.5] * 3).shape == (0, 3)


def test_single_and_double_precision_decide_alike() -> None:
    random = np.random.default_rng(0)
    thresholds = random.random(500)
    near = thresholds.astype(np.float32)
    assert 0 < (near >= thresholds).mean() < 1
    for probabilities in (near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(1))):
        found = torch.from_numpy(probabilities[None])
        wanted = probabilities.astype(np.float64) >= thresholds
        assert decide(found, True, thresholds.tolist())[0].tolist() == wanted.tolist()
        assert decide(found.double(), True, thresholds.tolist())[0].tolist() == wanted.tolist()


def test_a_model_decides_with_its_thresholds() -> None:
    model = EmotionClassifier(["a", "b", "c"], multi_label=True, threshold=0.4)
    assert model.decide(torch.tensor([[0.5, 0.1, 0.9]])).tolist() == [[True, False, True]]
    assert EmotionClassifier(["a", "b"]).decide(torch.tensor([[0.5, 0.5]])).tolist() == [[True, False]]
