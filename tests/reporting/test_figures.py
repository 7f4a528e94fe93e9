import warnings

import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, fontManager

from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.reporting import fonts
from emotion_lit.reporting.figures import confusion_figure, svg

# matplotlib brings fonts with these letters, besides its own that lacks them.
COVERED, BESIDE = "\ue0d1", {"DejaVu Sans", "STIXGeneral", "STIXNonUnicode"}


def outputs() -> LabeledPredictions:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    return LabeledPredictions.from_arrays(probabilities, np.eye(2), np.array([0, 1]), False, [0.5, 0.5])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fonts._fonts.cache_clear()


def names(kept: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.name in kept])


def test_letters_that_no_font_has_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names({"DejaVu Sans"}, monkeypatch)
    for _ in range(2):
        confusion_figure(outputs(), ["怖い", "\N{GRINNING FACE}\N{YAWNING FACE}"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(letter in said for letter in "怖い")
    assert "Noto Sans CJK" in said


def test_a_font_that_has_them_is_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names(BESIDE, monkeypatch)
    figure = confusion_figure(outputs(), [COVERED, "plain"])
    assert capsys.readouterr().err == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that is missing
        svg(figure)


def test_plain_names_look_for_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    characters = fonts._characters

    def looked(font: FontEntry) -> set[int]:
        opened.append(font.name)
        return characters(font)

    monkeypatch.setattr(fonts, "_characters", looked)
    confusion_figure(outputs(), ["Joy", "Überraschung"])
    assert opened == ["DejaVu Sans"]
