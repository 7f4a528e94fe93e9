import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from emotion_lit.evaluation.prediction_table import (
    AFTER,
    BEFORE,
    MAJORITY,
    MODELS,
    TFIDF,
    UNCALIBRATED,
    PredictionTable,
)
from emotion_lit.evaluation.summary import summarize
from emotion_lit.reporting.run_report import draw_figures, write_report
from tests.conftest import Train

LABELS = ["Joy", "<b>Anger</b> & co", "a label of $many$ characters"]


def report_of(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run / "report.json").read_text())
    return loaded


class Rows:
    """The rows that a run has kept, read without the package."""

    def __init__(self, run: Path, labels: list[str]) -> None:
        table = pq.read_table(run / "predictions.parquet")
        self.truth = np.array([labels.index(label) for label in table["label"].to_pylist()])
        self.sources = np.array(table["source"].to_pylist())
        self.table, self.labels = table, labels

    def probabilities(self, model: str) -> npt.NDArray[np.float64]:
        values = np.stack([self.table[f"{model}_{label}"].to_numpy() for label in self.labels], axis=1)
        values = values.astype(np.float64)
        return np.asarray(values / values.sum(axis=1, keepdims=True))


def check_scores(scores: dict[str, Any], truth: Any, probabilities: Any) -> None:
    guess = probabilities.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"), abs=1e-6)
    labels = range(probabilities.shape[1])
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities, labels=labels), abs=1e-6)
    assert scores["ece"] == pytest.approx(calibration_error(truth, probabilities), abs=1e-6)


def calibration_error(truth: Any, probabilities: Any) -> float:
    stated, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    true_shares, means = calibration_curve(right, stated, n_bins=15, strategy="uniform")
    counts, _ = np.histogram(-stated, bins=-np.linspace(0, 1, 16)[::-1])  # closed on the right
    shares = counts[::-1][counts[::-1] > 0] / len(truth)
    return float((shares * np.abs(true_shares - means)).sum())


def test_every_figure_can_be_computed_from_the_rows(drawn_run: Path) -> None:
    report = report_of(drawn_run)
    labels = report["confusion"]["labels"]
    rows = Rows(drawn_run, labels)
    for name in (BEFORE, AFTER):
        scores, probabilities = report[name], rows.probabilities(name)
        check_scores(scores, rows.truth, probabilities)
        brier = metrics.brier_score_loss(rows.truth, probabilities, scale_by_half=False, labels=range(7))
        assert scores["brier"] == pytest.approx(brier, abs=1e-6)
        guess = probabilities.argmax(axis=1)
        by_class = zip(
            *metrics.precision_recall_fscore_support(rows.truth, guess, labels=range(7), zero_division=0), strict=True
        )
        for label, wanted in zip(labels, by_class, strict=True):
            assert tuple(scores["per_class"][label].values()) == pytest.approx(wanted, abs=1e-6)
        for source, part in scores["per_source"].items():
            here = rows.sources == source
            assert part["accuracy"] == pytest.approx((guess == rows.truth)[here].mean(), abs=1e-6)
            wanted_f1 = metrics.f1_score(rows.truth[here], guess[here], average="macro")
            assert part["macro_f1"] == pytest.approx(wanted_f1, abs=1e-6)
    assert [model["name"] for model in report["baselines"]] == list(MODELS)
    for model in report["baselines"]:
        check_scores(model, rows.truth, rows.probabilities(model["name"]))
    guess = rows.probabilities(AFTER).argmax(axis=1)
    assert report["confusion"]["matrix"] == metrics.confusion_matrix(rows.truth, guess, labels=range(7)).tolist()
    for name, model in (("uncalibrated", UNCALIBRATED), ("calibrated", AFTER)):
        assert report["calibration"][name]["ece"] == pytest.approx(
            calibration_error(rows.truth, rows.probabilities(model)), abs=1e-6
        )


def test_intervals_come_from_resampling_the_rows(drawn_run: Path) -> None:
    """The same seed, the rows as they were kept, and scikit-learn's score."""
    report = report_of(drawn_run)
    rows = Rows(drawn_run, report["confusion"]["labels"])
    classes = np.eye(7, dtype=bool)
    guesses = [classes[rows.probabilities(name).argmax(axis=1)] for name in (AFTER, BEFORE)]
    cells, counts = np.unique(np.concatenate([classes[rows.truth], *guesses], axis=1), axis=0, return_counts=True)
    truth, after, before = (part.argmax(axis=1) for part in np.split(cells, 3, axis=1))
    draws = np.random.default_rng(0).multinomial(len(rows.truth), counts / counts.sum(), size=2000)

    def score(predicted: Any, weights: Any) -> float:
        here = weights > 0
        return float(metrics.f1_score(truth[here], predicted[here], sample_weight=weights[here], average="macro"))

    gains = [score(after, draw) - score(before, draw) for draw in draws]
    gain = report["baselines"][-1]["gain"]
    assert (gain["low"], gain["high"]) == pytest.approx(np.quantile(gains, [0.025, 0.975]), abs=1e-6)


def test_the_temperature_changes_no_prediction(drawn_run: Path) -> None:
    report = report_of(drawn_run)
    rows = Rows(drawn_run, report["confusion"]["labels"])
    plain, cooled = (rows.probabilities(name) for name in (UNCALIBRATED, AFTER))
    assert report["calibration"]["temperature"] != 1
    assert (plain.argmax(axis=1) == cooled.argmax(axis=1)).all()
    raised = plain ** (1 / report["calibration"]["temperature"])
    np.testing.assert_allclose(raised / raised.sum(axis=1, keepdims=True), cooled, atol=1e-5)


class Resources(HTMLParser):
    """Everything that a page would load, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_the_page_needs_nothing_else(drawn_run: Path) -> None:
    page = (drawn_run / "report.html").read_text()
    resources = Resources(page)
    assert len(resources.loads) == 6
    assert all(load.startswith("data:image/svg+xml;base64,") for load in resources.loads)
    assert "script" not in resources.tags
    assert not re.search(r"url\(|@import", page)
    assert 'name="viewport"' in page
    for name in ("confusion", "reliability", "precision_recall", "per_class", "risk_coverage", "learning"):
        assert (drawn_run / "figures" / f"{name}.svg").read_text().startswith("<?xml")
        assert f"figures/{name}.svg" in (drawn_run / "report.md").read_text()


# Odd data


def table_of(rows: int, first: list[int] | None = None, spoilt: float | None = None) -> PredictionTable:
    random = np.random.default_rng(0)
    true = np.array(first if first is not None else random.integers(3, size=rows))
    probabilities = random.dirichlet([1, 1, 1], size=rows)
    if spoilt is not None:
        probabilities[:] = spoilt
    by_model = dict.fromkeys((MAJORITY, TFIDF, BEFORE, UNCALIBRATED, AFTER), probabilities)
    texts = ["<script>alert(1)</script> | a text \n of two lines " + "x" * 400] * rows
    return PredictionTable(texts, [""] * rows, [""] * rows, LABELS, False, [0.5] * 3, true, np.eye(3)[true], by_model)


@pytest.mark.parametrize(
    "odd",
    [
        table_of(1),
        table_of(30, first=[0] * 30),
        table_of(30, first=[0, 1] * 15),
        table_of(30, spoilt=1 / 3),
        table_of(30, spoilt=float("nan")),
        table_of(30),
    ],
    ids=["one row", "one class", "a class absent", "equal scores", "not numbers", "ordinary"],
)
def test_odd_data_gets_a_page(odd: PredictionTable, drawn_run: Path, tmp_path: Path) -> None:
    report = {**report_of(drawn_run), **summarize(odd, 1.0, {})}
    write_report(report, draw_figures(report, odd, {}), tmp_path)
    resources = Resources((tmp_path / "report.html").read_text())
    assert "script" not in resources.tags
    assert "b" not in resources.tags
    assert len(resources.loads) == 6
    written = json.loads((tmp_path / "report.json").read_text())
    assert np.isfinite(written["after"]["macro_f1"])
    assert "x" * 200 not in (tmp_path / "report.md").read_text()
    if report["most_confident_errors"]:
        assert "x" * 400 in written["most_confident_errors"][0]["text"]


def test_several_labels_a_text_have_thresholds_of_their_own(train: Train) -> None:
    run = train("--model.tuning=head", "--data.multi_label=true")
    report = report_of(run)
    thresholds = report["calibration"]["thresholds"]
    assert len(thresholds) == 7
    assert report["model"]["threshold"] == thresholds
    table = pq.read_table(run / "predictions.parquet")
    labels = report["confusion"]["labels"]
    truth = np.stack([table[f"target_{label}"].to_numpy() > 0 for label in labels], axis=1)
    scores = np.stack([table[f"after_{label}"].to_numpy() for label in labels], axis=1)
    wanted = metrics.f1_score(truth, scores.astype(float) >= np.array(thresholds), average="macro", zero_division=0)
    assert report["after"]["macro_f1"] == pytest.approx(wanted, abs=1e-6)
