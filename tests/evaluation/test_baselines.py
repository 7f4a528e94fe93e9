import numpy as np
import pytest

from emotion_lit.evaluation.baselines import majority, tfidf

TEXTS = ["so happy today", "happy happy day", "so sad today", "a sad sad day"] * 3
TRUTH = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]] * 3, dtype=bool)


@pytest.mark.parametrize("multi_label", [False, True])
def test_tfidf_learns_from_words(multi_label: bool) -> None:
    result = tfidf(TEXTS, TRUTH, ["happy", "sad"], multi_label)
    assert result.probabilities.argmax(axis=1).tolist() == [0, 1]
    assert result.probabilities[:, 2].tolist() == [0, 0]  # no training text has the third class
    assert result.parameters > 0


def test_the_majority_class_predicts_the_same_for_all() -> None:
    result = majority(TRUTH[:3], rows=2)
    assert result.probabilities.tolist() == [[2 / 3, 1 / 3, 0]] * 2


def test_one_class_and_no_words_are_no_error() -> None:
    assert tfidf(TEXTS[:2], TRUTH[:2], ["happy"], False).probabilities.tolist() == [[1, 0, 0]]
    assert tfidf(["a", "b"], TRUTH[1:3], ["c"], False).probabilities.tolist() == [[0.5, 0.5, 0]]
