"""The rungs below a fine-tuned model: what costs nothing, and what costs little."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from emotion_lit.evaluation.predictions import Bools, Floats

ITERATIONS = 200
# Weights that are learned together; with more classes there are fewer words, the most frequent ones.
WEIGHTS = 10_000_000


@dataclass(frozen=True)
class Rung:
    """What a simple model says about the test rows.

    Args:
        probabilities: ``[rows, classes]``.
        seconds: What training and prediction took.
        parameters: How many numbers it has learned.
    """

    probabilities: Floats
    seconds: float
    parameters: int


def majority(truth: Bools, rows: int) -> Rung:
    """The shares of the classes in the training rows, for every text.

    Args:
        truth: Which classes a training row has, ``[training rows, classes]``.
        rows: How many rows to predict.
    """
    shares = truth.mean(axis=0)
    return Rung(np.tile(shares, (rows, 1)), 0.0, len(shares))


def tfidf(train: Sequence[str], truth: Bools, test: Sequence[str], multi_label: bool) -> Rung:
    """Logistic regression on the weighted words and pairs of words of a text (TF-IDF), from scikit-learn.

    Args:
        train: The training texts.
        truth: Which classes they have, ``[training rows, classes]``.
        test: The texts to predict.
        multi_label: Whether a row may have several classes.
    """
    start = time.perf_counter()
    present = np.flatnonzero(truth.any(axis=0))
    known = np.zeros((len(test), truth.shape[1]))
    pattern = r"(?u)\b\w+\b|[^\w\s]"
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2,
        max_features=None if multi_label else WEIGHTS // max(len(present), 1),
        sublinear_tf=True,
        token_pattern=pattern,
        dtype=np.float32,
    )
    try:
        words = vectorizer.fit_transform(train)
    except ValueError:  # no word stands in two texts
        return Rung(np.tile(truth.mean(axis=0), (len(test), 1)), time.perf_counter() - start, 0)
    if len(present) < 2:
        known[:, present] = 1.0
        return Rung(known, time.perf_counter() - start, 0)
    regression = LogisticRegression(C=3.0, max_iter=ITERATIONS)
    model = OneVsRestClassifier(regression) if multi_label else regression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rung, not a race
        model.fit(words, truth[:, present].astype(int) if multi_label else truth.argmax(axis=1))
    known[:, present] = model.predict_proba(vectorizer.transform(test))
    return Rung(known, time.perf_counter() - start, len(present) * (words.shape[1] + 1))
