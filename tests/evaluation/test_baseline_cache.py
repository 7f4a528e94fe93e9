"""The baselines are fitted once for the same data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_lit.evaluation.baseline_cache import DataBaselines, data_baselines
from emotion_lit.evaluation.baselines import tfidf
from emotion_lit.utils import caches
from tests.evaluation.test_baselines import TEXTS, TRUTH
from tests.utils.test_caches import DAMAGES

TEST = ["happy", "sad", "so sad today"]


def baselines(folder: Path, fingerprint: str = "a") -> DataBaselines:
    return data_baselines(TEXTS, TRUTH, TEST, False, fingerprint, folder)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that the baseline is fitted."""
    counted: list[int] = []

    def counting(*arguments: Any) -> Any:
        counted.append(1)
        return tfidf(*arguments)

    monkeypatch.setattr("emotion_lit.evaluation.baseline_cache.tfidf", counting)
    caches._warned.clear()
    return counted


def test_the_cache_gives_what_was_computed(tmp_path: Path, fits: list[int]) -> None:
    first, second = baselines(tmp_path), baselines(tmp_path)
    assert len(fits) == 1
    np.testing.assert_array_equal(first.tfidf.probabilities, second.tfidf.probabilities)
    assert first.overlaps == second.overlaps == ["", "", "same"]
    assert (first.tfidf.seconds, first.tfidf.parameters) == (second.tfidf.seconds, second.tfidf.parameters)


def test_other_data_are_computed(tmp_path: Path, fits: list[int]) -> None:
    baselines(tmp_path)
    baselines(tmp_path, "b")
    data_baselines(TEXTS, TRUTH[:, ::-1], TEST, False, "a", tmp_path)  # the classes in another order
    assert len(fits) == 3


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_computed_again(
    tmp_path: Path, fits: list[int], damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    first = baselines(tmp_path)
    (file,) = (tmp_path / "baselines").iterdir()
    damage(file)
    second = baselines(tmp_path)
    assert len(fits) == 2
    assert "is damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(first.tfidf.probabilities, second.tfidf.probabilities)
    baselines(tmp_path)
    assert len(fits) == 2


def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, fits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "baselines").write_text("a file where a folder should be")
    assert baselines(tmp_path).overlaps == ["", "", "same"]
    assert capsys.readouterr().err.count("cannot be written") == 1
