import pytest
import torch

from emotion_lit.evaluation.scores import evaluate_outputs
from emotion_lit.model.metrics import metric_collection
from tests.evaluation.test_scores import LABELS, outputs


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_logged_is_what_is_reported(multi_label: bool) -> None:
    out = outputs(multi_label)
    logged = metric_collection(len(LABELS), multi_label, "val")
    preds = torch.from_numpy(out.predicted).int() if multi_label else torch.from_numpy(out.probabilities)
    target = torch.from_numpy(out.truth).int() if multi_label else torch.from_numpy(out.first)
    for part in range(0, len(out), 100):
        rows = slice(part, part + 100)
        logged.update(preds=preds[rows], target=target[rows], targets=torch.from_numpy(out.targets)[rows])
    scores = evaluate_outputs(out, LABELS, [""] * len(out))
    for name, value in logged.compute().items():
        assert scores[name.removeprefix("val/")] == pytest.approx(float(value), abs=1e-6)
