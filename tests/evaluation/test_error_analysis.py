import numpy as np
import pytest
from sklearn import metrics

from emotion_lit.evaluation.error_analysis import confused_pairs, confusion_matrix, confusion_shares
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from tests.evaluation.test_metrics import LABELS, outputs


def test_the_matrix_of_one_class_a_row_is_that_of_scikit_learn() -> None:
    out = outputs(multi_label=False)
    wanted = metrics.confusion_matrix(out.first, out.predicted.argmax(axis=1))
    np.testing.assert_array_equal(confusion_matrix(out), wanted)
    np.testing.assert_allclose(confusion_shares(out), wanted / wanted.sum(axis=1, keepdims=True))


def test_the_share_of_a_pair_is_of_the_rows_that_have_the_true_class() -> None:
    """All rows have a: one is predicted b and c, one a, and two nothing."""
    truth = [[1, 0, 0, 0]] * 4
    predicted = [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    out = LabeledPredictions.from_arrays(predicted, truth, [0] * 4, True, 0.5)
    pairs = [(one["truth"], one["prediction"], one["count"], one["share"]) for one in confused_pairs(out, LABELS)]
    assert pairs == [("a", "b", 1, 0.25), ("a", "c", 1, 0.25)]
    assert confusion_shares(out)[0].tolist() == [0.25, 0.25, 0.25, 0.0]


@pytest.mark.parametrize("multi_label", [False, True])
def test_rows_without_a_prediction_are_predicted_as_nothing(multi_label: bool) -> None:
    out = LabeledPredictions.from_arrays([[np.nan, 0.5], [0.9, 0.1]], [[1, 0], [1, 0]], [0, 0], multi_label, [0.5, 0.5])
    assert out.predicted.tolist() == [[False, False], [True, False]]
    assert confusion_matrix(out).tolist() == [[1, 0], [0, 0]]
    assert confusion_shares(out)[0].tolist() == [0.5, 0.0]
    assert out.correct.tolist() == [False, True]
