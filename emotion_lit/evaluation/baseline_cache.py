"""Caches the TF-IDF baseline and the search for contamination, which depend on the data alone."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from emotion_lit.evaluation.baselines import BaselineResult, tfidf
from emotion_lit.evaluation.contamination import NEARLY, SAME, find_overlaps
from emotion_lit.evaluation.labeled_predictions import Bools
from emotion_lit.utils import caches
from emotion_lit.utils.checksums import append_checksum, read_array
from emotion_lit.utils.files import atomic_path, reason_of, why_not_writable

# Raised when the code computes something else for the same data.
FORMAT = 1
FOLDER = "baselines"
MARKS = ("", SAME, NEARLY)
# The libraries whose versions may change the results.
LIBRARIES = ("scikit-learn", "datasketch", "numpy", "scipy")


@dataclass(frozen=True)
class DataBaselines:
    """What a report needs to know about the data without a model.

    Attributes:
        tfidf: The TF-IDF baseline.
        overlaps: For each test text ``same``, ``nearly`` or empty (see `find_overlaps`).
    """

    tfidf: BaselineResult
    overlaps: list[str]


def data_baselines(
    train: Sequence[str], truth: Bools, test: Sequence[str], multi_label: bool, fingerprint: str, cache_dir: Path
) -> DataBaselines:
    """Fits the TF-IDF baseline and looks for test texts that occur in train, or reads both from the cache.

    Args:
        train: The training texts.
        truth: Their classes, ``[training rows, classes]``.
        test: The test texts.
        multi_label: Whether a text may have several classes.
        fingerprint: A hash of the corpus (see `emotion_lit.data.corpus.Corpus`).
        cache_dir: The folder of caches.
    """
    file = cache_dir / FOLDER / f"{_key(fingerprint, truth)}.npy"
    found = _read(file, len(test), truth.shape[1])
    if found is None:
        found = DataBaselines(tfidf(train, truth, test, multi_label), find_overlaps(train, test))
        _save(found, file)
    return found


def _key(fingerprint: str, truth: Bools) -> str:
    what = {
        "format": FORMAT,
        "corpus": fingerprint,
        "truth": hashlib.sha256(np.packbits(truth).tobytes()).hexdigest(),  # the classes may be in another order
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _record(rows: int, classes: int) -> np.dtype[np.void]:
    """One record has everything, so that a file is complete or missing."""
    return np.dtype(
        [
            ("probabilities", np.float64, (rows, classes)),
            ("overlaps", np.uint8, (rows,)),
            ("seconds", np.float64),
            ("parameters", np.int64),
        ]
    )


def _read(file: Path, rows: int, classes: int) -> DataBaselines | None:
    array = read_array(file)
    if array is None:
        return None
    if array.shape != (1,) or array.dtype != _record(rows, classes):
        caches.warn_unusable(file.parent, "is damaged", "computing it again")
        return None
    record = array[0]
    baseline = BaselineResult(np.array(record["probabilities"]), float(record["seconds"]), int(record["parameters"]))
    return DataBaselines(baseline, [MARKS[code] for code in record["overlaps"].tolist()])


def _save(found: DataBaselines, file: Path) -> None:
    reason = why_not_writable(file.parent)
    try:
        if reason is None:
            array = np.zeros(1, _record(*found.tfidf.probabilities.shape))
            array[0] = (
                found.tfidf.probabilities,
                [MARKS.index(mark) for mark in found.overlaps],
                found.tfidf.seconds,
                found.tfidf.parameters,
            )
            with atomic_path(file) as unfinished:
                with unfinished.open("wb") as opened:
                    np.save(opened, array)
                append_checksum(unfinished)
            return
    except OSError as error:
        reason = reason_of(error)
    caches.warn_unusable(file.parent, f"cannot be written: {reason}", "continuing without it")
