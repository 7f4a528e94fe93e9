import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from emotion_lit.evaluation.average_precision import average_precision, macro_average
from emotion_lit.evaluation.metrics import evaluate_predictions
from emotion_lit.training.metrics import metric_collection
from tests.evaluation.test_metrics import LABELS, outputs


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_logged_is_what_is_reported(multi_label: bool) -> None:
    out = outputs(multi_label)
    broken = np.where(np.arange(len(out))[:, None] < 5, np.nan, out.probabilities)  # which predict nothing
    out = out.with_probabilities(broken)
    logged = metric_collection(len(LABELS), multi_label, "val")
    values = {name: getattr(out, name) for name in ("predicted", "truth", "probabilities", "targets")}
    for part in range(0, len(out), 100):
        logged.update(**{name: torch.from_numpy(value[part : part + 100]) for name, value in values.items()})
    scores = evaluate_predictions(out, LABELS, [""] * len(out))
    for name, value in logged.compute().items():
        assert scores[name.removeprefix("val/")] == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize("digits", [1, 6])
def test_average_precision_is_that_of_scikit_learn(digits: int) -> None:
    out = outputs(multi_label=True)
    rounded = out.probabilities.round(digits)  # with one digit, many are equal
    found = average_precision(torch.from_numpy(rounded), torch.from_numpy(out.truth))
    wanted = average_precision_score(out.truth, rounded, average=None)
    assert found.tolist() == pytest.approx(list(wanted), abs=1e-9)


def test_the_average_precision_leaves_out_a_class_that_no_row_has() -> None:
    probabilities = torch.tensor([[0.9, 0.3], [0.2, 0.8], [0.1, float("nan")]])
    found = average_precision(probabilities, torch.tensor([[1, 0], [0, 0], [0, 0]]))
    assert found[0] == 1
    assert found[1].isnan()
    assert macro_average(found) == 1
    assert macro_average(torch.tensor([float("nan")])) == 0
