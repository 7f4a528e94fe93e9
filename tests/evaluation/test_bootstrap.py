import numpy as np
import pytest
from sklearn.metrics import f1_score

from emotion_lit.evaluation import bootstrap
from emotion_lit.evaluation.bootstrap import holm, macro_f1_gain, macro_f1_interval
from tests.evaluation.test_metrics import outputs


def test_the_interval_is_that_of_resampling_and_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with equal targets and predictions are resampled together; here scikit-learn scores these samples."""
    monkeypatch.setattr(bootstrap, "SAMPLES", 50)
    out, other = outputs(False), outputs(False, seed=1)
    other = out.with_probabilities(other.probabilities)
    cells, counts = np.unique(
        np.concatenate([out.truth, out.predicted, other.predicted], axis=1),
        axis=0,
        return_counts=True,
    )
    draws = np.random.default_rng(bootstrap.SEED).multinomial(400, counts / 400, size=50)
    truth, ours, theirs = (part.argmax(axis=1) for part in np.split(cells, 3, axis=1))
    scores = [
        f1_score(truth, ours, sample_weight=draw, average="macro")
        - f1_score(truth, theirs, sample_weight=draw, average="macro")
        for draw in draws
    ]
    gain = macro_f1_gain(out, other)
    assert gain.low == pytest.approx(np.quantile(scores, 0.025), abs=1e-6)
    assert gain.high == pytest.approx(np.quantile(scores, 0.975), abs=1e-6)
    f1 = [f1_score(out.first, one.predicted.argmax(axis=1), average="macro") for one in (out, other)]
    assert gain.value == pytest.approx(f1[0] - f1[1], abs=1e-6)


def test_it_is_as_wide_as_resampling_row_by_row() -> None:
    out = outputs(False)
    random = np.random.default_rng(1)
    drawn = [random.integers(400, size=400) for _ in range(500)]
    scores = [f1_score(out.first[rows], out.predicted[rows].argmax(axis=1), average="macro") for rows in drawn]
    interval = macro_f1_interval(out)
    assert interval.low == pytest.approx(np.quantile(scores, 0.025), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(scores, 0.975), abs=0.01)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_model_does_not_gain_on_itself(multi_label: bool) -> None:
    out = outputs(multi_label)
    gain = macro_f1_gain(out, out)
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    assert not gain.excludes_zero
    assert gain.p_value == 1


def test_a_single_row_has_an_interval() -> None:
    one = outputs(False).take(np.array([0]))
    interval = macro_f1_interval(one)
    assert interval.low == interval.value == interval.high


def test_p_values_are_corrected_for_their_number() -> None:
    # Sorted: 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04, and none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
