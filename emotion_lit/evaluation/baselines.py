"""Baselines: the majority class, and TF-IDF with logistic regression."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion_lit.evaluation.labeled_predictions import Bools, Floats

MAX_ITERATIONS = 200
# Limits the coefficients of a single-label model. The more classes, the fewer n-grams it uses, the most frequent ones.
MAX_COEFFICIENTS = 10_000_000


@dataclass(frozen=True)
class BaselineResult:
    """The predictions of a baseline.

    Attributes:
        probabilities: ``[test rows, classes]``.
        seconds: How long fitting and predicting took.
        parameters: The number of fitted parameters.
    """

    probabilities: Floats
    seconds: float
    parameters: int


def majority(truth: Bools, rows: int) -> BaselineResult:
    """Predicts the class frequencies of the training rows for every text.

    Args:
        truth: The classes of the training rows, ``[training rows, classes]``.
        rows: How many rows to predict.
    """
    frequencies = truth.mean(axis=0)
    return BaselineResult(np.tile(frequencies, (rows, 1)), 0.0, len(frequencies))


def tfidf(train: Sequence[str], truth: Bools, test: Sequence[str], multi_label: bool) -> BaselineResult:
    """Fits scikit-learn's logistic regression on TF-IDF features of words and pairs of words.

    Args:
        train: The training texts.
        truth: Their classes, ``[training rows, classes]``.
        test: The texts to predict.
        multi_label: Whether a text may have several classes.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    start = time.perf_counter()
    present = np.flatnonzero(truth.any(axis=0))
    probabilities = np.zeros((len(test), truth.shape[1]))
    pattern = r"(?u)\b\w+\b|[^\w\s]"
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2,
        max_features=None if multi_label else MAX_COEFFICIENTS // max(len(present), 1),
        sublinear_tf=True,
        token_pattern=pattern,
        dtype=np.float32,
    )
    try:
        features = vectorizer.fit_transform(train)
    except ValueError:  # no word occurs in two texts
        return BaselineResult(np.tile(truth.mean(axis=0), (len(test), 1)), time.perf_counter() - start, 0)
    if len(present) < 2:
        probabilities[:, present] = 1.0
        return BaselineResult(probabilities, time.perf_counter() - start, 0)
    regression = LogisticRegression(C=3.0, max_iter=MAX_ITERATIONS)
    model = OneVsRestClassifier(regression) if multi_label else regression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline need not be the optimum
        model.fit(features, truth[:, present].astype(int) if multi_label else truth.argmax(axis=1))
    probabilities[:, present] = model.predict_proba(vectorizer.transform(test))
    return BaselineResult(probabilities, time.perf_counter() - start, len(present) * (features.shape[1] + 1))
