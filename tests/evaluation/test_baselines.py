import numpy as np
import pytest

from emotion_lit.evaluation.baselines import majority, tfidf

TEXTS = ["so happy today", "happy happy day", "so sad today", "a sad sad day"] * 3
TRUTH = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]] * 3, dtype=bool)


@pytest.mark.parametrize("multi_label", [False, True])
def test_words_alone_learn_what_words_tell(multi_label: bool) -> None:
    rung = tfidf(TEXTS, TRUTH, ["happy", "sad"], multi_label)
    assert rung.probabilities.argmax(axis=1).tolist() == [0, 1]
    assert rung.probabilities[:, 2].tolist() == [0, 0]  # nobody has shown it the third class
    assert rung.parameters > 0


def test_the_majority_says_the_same_of_all() -> None:
    rung = majority(TRUTH[:3], rows=2)
    assert rung.probabilities.tolist() == [[2 / 3, 1 / 3, 0]] * 2


def test_one_class_and_no_words_are_no_mishap() -> None:
    assert tfidf(TEXTS[:2], TRUTH[:2], ["happy"], False).probabilities.tolist() == [[1, 0, 0]]
    assert tfidf(["a", "b"], TRUTH[1:3], ["c"], False).probabilities.tolist() == [[0.5, 0.5, 0]]
