import numpy as np
import pytest
import torch
from sklearn import metrics

from emotion_lit.evaluation.bootstrap import macro_f1_interval
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.evaluation.metrics import evaluate_predictions
from emotion_lit.training.module import EmotionClassifier

LABELS = ["a", "b", "c", "d"]
THRESHOLDS = [0.5, 0.4, 0.6, 0.3]


def outputs(multi_label: bool, rows: int = 400, seed: int = 0) -> LabeledPredictions:
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(rows, len(LABELS)))
    if multi_label:
        targets = (random.random((rows, len(LABELS))) < 0.3).astype(float)
        return LabeledPredictions.from_arrays(
            1 / (1 + np.exp(-logits)), targets, targets.argmax(axis=1), True, THRESHOLDS
        )
    first = random.integers(len(LABELS), size=rows)
    exponentials = np.exp(logits + 1.5 * np.eye(len(LABELS))[first])
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return LabeledPredictions.from_arrays(probabilities, np.eye(len(LABELS))[first], first, False, 0.5)


def test_scores_of_one_class_a_row_are_those_of_scikit_learn() -> None:
    out = outputs(multi_label=False)
    sources = ["x" if row % 3 else "y" for row in range(400)]
    scores = evaluate_predictions(out, LABELS, sources)
    truth, guess = out.first, out.probabilities.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-6)
    assert scores["loss"] == pytest.approx(metrics.log_loss(truth, out.probabilities), abs=1e-6)
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(truth, out.probabilities), abs=1e-6)
    brier = metrics.brier_score_loss(truth, out.probabilities, scale_by_half=False)
    assert scores["brier"] == pytest.approx(brier, abs=1e-6)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, guess)
    for place, label in enumerate(LABELS):
        wanted = (precision[place], recall[place], f1[place], support[place])
        assert tuple(scores["per_class"][label].values()) == pytest.approx(wanted, abs=1e-6)
    mask = np.array([source == "x" for source in sources])
    assert scores["per_source"]["x"]["accuracy"] == pytest.approx((truth == guess)[mask].mean(), abs=1e-6)
    assert scores["per_source"]["y"]["support"] == (~mask).sum()


def test_scores_of_several_classes_a_row_are_those_of_scikit_learn() -> None:
    out = outputs(multi_label=True)
    scores = evaluate_predictions(out, LABELS, [""] * 400)
    truth, guess = out.targets.astype(int), (out.probabilities >= THRESHOLDS).astype(int)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-6)
    assert scores["micro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="micro"), abs=1e-6)
    flat = truth.ravel(), out.probabilities.ravel()
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(*flat), abs=1e-6)
    assert scores["brier"] == pytest.approx(metrics.brier_score_loss(*flat), abs=1e-6)
    assert scores["per_source"] == {}


def test_any_of_several_labels_counts() -> None:
    out = LabeledPredictions.from_arrays([[0.1, 0.9], [0.9, 0.1]], [[0.5, 0.5], [0.0, 1.0]], [0, 1], False, 0.5)
    scores = evaluate_predictions(out, LABELS[:2], ["", ""])
    assert (scores["accuracy"], scores["accuracy_any"]) == (0.0, 0.5)


def test_a_class_that_is_absent_does_not_break_the_scores() -> None:
    out = outputs(multi_label=False)
    only = LabeledPredictions.from_arrays(out.probabilities, np.eye(4)[np.zeros(400, int)], np.zeros(400), False, 0.5)
    scores = evaluate_predictions(only, LABELS, [""] * 400)
    assert scores["per_class"]["d"]["support"] == 0
    assert 0 < scores["macro_f1"] < 1


@pytest.mark.parametrize("multi_label", [False, True])
def test_macro_f1_is_the_same_in_training_report_and_scikit_learn(multi_label: bool) -> None:
    """Also where a class has no row, and one of these is not predicted either."""
    out = outputs(multi_label, rows=40)
    targets = np.where(np.arange(4) < 2, out.targets, 0.0) if multi_label else np.eye(4)[out.first % 2]
    logits = torch.tensor(out.probabilities * (np.arange(4) < 3))
    found = LabeledPredictions.from_arrays(logits.numpy(), targets, targets.argmax(axis=1), multi_label, 0.5)
    model = EmotionClassifier(LABELS, multi_label=multi_label)
    values = {"predicted": found.predicted, "truth": found.truth, "probabilities": logits, "targets": targets}
    model.val_metrics.update(**{name: torch.as_tensor(value) for name, value in values.items()})
    scores = evaluate_predictions(found, LABELS, ["x"] * 40)
    one_each = (found.truth, found.predicted) if multi_label else (found.first, found.predicted.argmax(axis=1))
    wanted = metrics.f1_score(*one_each, average="macro", zero_division=0)
    of_each = metrics.f1_score(*one_each, average=None, zero_division=0)
    assert scores["macro_f1_classes"] == len(of_each) == (4 if multi_label else 3)
    assert float(model.val_metrics.compute()["val/macro_f1"]) == pytest.approx(wanted, abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert scores["per_source"]["x"]["macro_f1"] == pytest.approx(wanted, abs=1e-6)
    assert macro_f1_interval(found).value == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_logits_that_are_not_numbers_count_as_knowing_nothing(multi_label: bool) -> None:
    out = outputs(multi_label)
    broken = out.probabilities.copy()
    broken[:3] = np.nan
    found = out.with_probabilities(broken)
    scores = evaluate_predictions(found, LABELS, [""] * 400)
    assert scores["invalid_rows"] == 3
    assert found.take(np.arange(2, 10)).invalid.tolist() == [True] + [False] * 7
    assert found.with_probabilities(found.probabilities).invalid.sum() == 3  # other values do not make them known
    assert all(np.isfinite(scores[key]) for key in ("accuracy", "macro_f1", "loss", "log_loss", "brier", "ece"))
