import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score

from emotion_lit.evaluation.calibration import (
    BINS,
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
    log_loss,
    reliability,
    risk_coverage,
    scale_by_temperature,
)
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from tests.evaluation.test_metrics import outputs


@pytest.mark.parametrize("multi_label", [False, True])
def test_reliability_is_that_of_scikit_learn(multi_label: bool) -> None:
    out = outputs(multi_label, rows=2000)
    if multi_label:
        correct, confidence = out.targets.ravel(), out.probabilities.ravel()
    else:
        correct, confidence = out.probabilities.argmax(axis=1) == out.first, out.probabilities.max(axis=1)
    accuracies, confidences = calibration_curve(correct, confidence, n_bins=BINS, strategy="uniform")
    bins = reliability(out)
    assert [one["accuracy"] for one in bins] == pytest.approx(accuracies.tolist(), abs=1e-9)
    assert [one["confidence"] for one in bins] == pytest.approx(confidences.tolist(), abs=1e-9)
    assert sum(one["share"] for one in bins) == pytest.approx(1)


def test_calibration_error_by_hand() -> None:
    # Ten rows at 0.8, seven of them right: off by 0.1.
    first = np.array([0] * 7 + [1] * 3)
    out = LabeledPredictions.from_arrays([[0.8, 0.2]] * 10, np.eye(2)[first], first, False, 0.5)
    assert expected_calibration_error(out) == pytest.approx(0.1)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_model_that_is_too_sure_is_cooled_down(multi_label: bool) -> None:
    sure = outputs(multi_label, rows=2000)
    sure = sure.with_probabilities(scale_by_temperature(sure.probabilities, 0.3, multi_label))
    temperature = fit_temperature(sure)
    assert temperature > 1.5
    cooled = sure.with_probabilities(scale_by_temperature(sure.probabilities, temperature, multi_label))
    assert log_loss(cooled) < log_loss(sure)
    assert expected_calibration_error(cooled) < expected_calibration_error(sure)
    np.testing.assert_array_equal(*(one.probabilities.argmax(axis=1) for one in (cooled, sure)))
    np.testing.assert_allclose(
        scale_by_temperature(cooled.probabilities, 1 / temperature, multi_label), sure.probabilities, atol=1e-9
    )


def test_rows_that_do_not_tell_leave_the_temperature_at_one() -> None:
    out = outputs(multi_label=False)
    assert fit_temperature(out.take(np.array([0]))) == 1.0
    assert fit_temperature(out.with_probabilities(np.full((400, 4), 0.25))) == 1.0


def test_thresholds_are_the_best_there_are() -> None:
    out = outputs(multi_label=True)
    found = fit_thresholds(out)
    for place, threshold in enumerate(found):
        truth, scores = out.truth[:, place], out.probabilities[:, place]
        best = max(f1_score(truth, scores >= one) for one in scores)
        assert f1_score(truth, scores >= threshold) == pytest.approx(best)
        assert np.abs(scores - threshold).min() > 0  # else rounding decides about that row
    nothing = LabeledPredictions.from_arrays(out.probabilities, np.zeros_like(out.targets), np.full(400, -1), True, 0.5)
    assert fit_thresholds(nothing) == [0.5] * 4


def test_the_surest_rows_are_kept_first() -> None:
    out = outputs(multi_label=False)
    points = risk_coverage(out)
    assert points[-1]["coverage"] == 1
    assert points[-1]["accuracy"] == pytest.approx(out.correct.mean())
    half = np.argsort(-out.confidence)[:200]
    assert next(one["accuracy"] for one in points if one["coverage"] == 0.5) == pytest.approx(out.correct[half].mean())
    assert points[0]["accuracy"] > points[-1]["accuracy"]
