import numpy as np
import pytest
import torch

from emotion_lit.model.metrics import Outputs, evaluate_outputs, metric_collection

metrics = pytest.importorskip("sklearn.metrics")
LABELS = ["a", "b", "c", "d"]


def outputs(multi_label: bool, rows: int = 400) -> Outputs:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, len(LABELS), generator=generator)
    if multi_label:
        targets = (torch.rand(rows, len(LABELS), generator=generator) < 0.3).float()
        return Outputs(logits.sigmoid(), targets, targets.argmax(dim=1))
    first = torch.randint(len(LABELS), (rows,), generator=generator)
    targets = torch.nn.functional.one_hot(first, len(LABELS)).float()
    return Outputs(logits.softmax(dim=1), targets, first)


def test_scores_of_one_class_a_row_are_those_of_scikit_learn() -> None:
    out = outputs(multi_label=False)
    sources = ["x" if row % 3 else "y" for row in range(400)]
    scores = evaluate_outputs(out, LABELS, False, 0.5, sources)
    probabilities = out.probabilities.double().numpy()
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth, guess = out.first.numpy(), out.probabilities.argmax(dim=1).numpy()
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-6)
    assert scores["loss"] == pytest.approx(metrics.log_loss(truth, probabilities), abs=1e-5)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, guess)
    for place, label in enumerate(LABELS):
        wanted = (precision[place], recall[place], f1[place], support[place])
        assert tuple(scores["per_class"][label].values()) == pytest.approx(wanted, abs=1e-6)
    mask = np.array([source == "x" for source in sources])
    assert scores["per_source"]["x"]["accuracy"] == pytest.approx((truth == guess)[mask].mean(), abs=1e-6)
    assert scores["per_source"]["y"]["support"] == (~mask).sum()


def test_scores_of_several_classes_a_row_are_those_of_scikit_learn() -> None:
    out = outputs(multi_label=True)
    scores = evaluate_outputs(out, LABELS, True, 0.5, [""] * 400)
    truth, guess = out.targets.int().numpy(), (out.probabilities >= 0.5).int().numpy()
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-6)
    assert scores["micro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="micro"), abs=1e-6)
    assert scores["per_source"] == {}


def test_calibration_error_by_hand() -> None:
    # Ten rows at 0.8, seven of them right: off by 0.1.
    probabilities = torch.tensor([[0.8, 0.2]] * 10)
    first = torch.tensor([0] * 7 + [1] * 3)
    targets = torch.nn.functional.one_hot(first, 2).float()
    scores = evaluate_outputs(Outputs(probabilities, targets, first), ["a", "b"], False, 0.5, [])
    assert scores["ece"] == pytest.approx(0.1, abs=1e-6)


def test_any_of_several_labels_counts() -> None:
    probabilities = torch.tensor([[0.1, 0.9], [0.9, 0.1]])
    out = Outputs(probabilities, torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 1]))
    scores = evaluate_outputs(out, ["a", "b"], False, 0.5, [])
    assert (scores["accuracy"], scores["accuracy_any"]) == (0.0, 0.5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_logged_is_what_is_reported(multi_label: bool) -> None:
    out = outputs(multi_label)
    logged = metric_collection(len(LABELS), multi_label, 0.5, "val")
    target = out.targets.int() if multi_label else out.first
    for part in range(0, 400, 100):
        rows = slice(part, part + 100)
        logged.update(preds=out.probabilities[rows], target=target[rows], targets=out.targets[rows])
    scores = evaluate_outputs(out, LABELS, multi_label, 0.5, [])
    for name, value in logged.compute().items():
        assert scores[name.removeprefix("val/")] == pytest.approx(float(value), abs=1e-6)


def test_a_class_that_is_absent_does_not_break_the_scores() -> None:
    out = outputs(multi_label=False)
    only = Outputs(
        out.probabilities, torch.nn.functional.one_hot(torch.zeros(400).long(), 4).float(), torch.zeros(400).long()
    )
    scores = evaluate_outputs(only, LABELS, False, 0.5, [])
    assert scores["per_class"]["d"]["support"] == 0
    assert 0 < scores["macro_f1"] < 1
