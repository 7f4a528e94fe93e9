import matplotlib
import pytest

from emotion_lit.evaluation.fonts import use_fonts_for


def test_characters_that_no_font_has_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    private = "\U0010fffd\uf8ff"[:1] + "\U000f1234"
    printable = "".join(c for c in ("\u058d", "𓀀", "𖠀", "𝼀") if c.isprintable())
    use_fonts_for([private, "anger"])
    use_fonts_for([printable, "anger"])
    use_fonts_for([printable, "anger"])
    assert capsys.readouterr().err.count("no installed font has") <= 1
    assert matplotlib.rcParams["font.family"][0] == "sans-serif"


def test_latin_labels_need_no_other_font(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(matplotlib.rcParams["font.family"])
    use_fonts_for(["Überraschung", "joie"])
    assert list(matplotlib.rcParams["font.family"]) == before
    assert not capsys.readouterr().err
