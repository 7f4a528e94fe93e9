"""The settings of a checkpoint are defaults, whether it is typed or named in a configuration."""

import csv
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.cli import main
from emotion_lit.training.settings.checkpoint_settings import typed_checkpoint
from emotion_lit.training.settings.parser import EmotionParser
from tests.conftest import failing


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--ckpt_path", "a.ckpt"], "a.ckpt"),
        (["--ckpt_path=a.ckpt", "--prediction.top_k=2"], "a.ckpt"),
        (["--ckpt_path=a.ckpt", "--ckpt_path", "b.ckpt"], "b.ckpt"),
        (["--config", "c.yaml"], None),
        (["--ckpt_path=null"], None),
        (["--ckpt_path"], None),
        (["--ckpt_path=a.ckpt", "--help"], None),
        (["--ckpt_path=a.ckpt", "--print_config"], None),
        (["--ckpt_path=~/a.ckpt"], str(Path.home() / "a.ckpt")),
    ],
)
def test_the_checkpoint_is_found_among_the_words(words: list[str], found: str | None) -> None:
    assert typed_checkpoint(words) == found


def test_a_typed_checkpoint_gives_what_a_configured_one_gives_in_one_parse(
    tiny_run: Path, texts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threshold is set in both, so that a setting of the command line wins over the checkpoint's."""
    parses: list[object] = []
    parse = EmotionParser.parse_args

    def counted(parser: EmotionParser, words: list[str], *how: Any, **more: Any) -> Any:
        parses.extend(word for word in words if word == "predict")  # not the parser of the command inside
        return parse(parser, words, *how, **more)

    monkeypatch.setattr(EmotionParser, "parse_args", counted)
    config = tmp_path / "config.yaml"
    config.write_text(f"ckpt_path: {tiny_run}\n")
    files = [f"--data.predict_path={texts_file}", "--prediction.threshold=0.2"]
    rows = []
    for name, words, times in (("typed", [f"--ckpt_path={tiny_run}"], 1), ("named", [f"--config={config}"], 2)):
        parses.clear()
        main(["predict", *words, *files, f"--prediction.path={tmp_path / name}.csv"])
        assert len(parses) == times
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            rows.append(list(csv.DictReader(file)))
    assert rows[0] == rows[1]


def test_a_mistake_beside_a_typed_checkpoint_is_one_line(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = failing(capsys, "predict", f"--ckpt_path={tiny_run}", "--prediction.tpo_k=2")
    assert "Did you mean prediction.top_k?" in line
