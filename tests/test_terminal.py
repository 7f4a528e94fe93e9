"""What a person sees: every command at a terminal, whose screen is read back."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import SMALL
from tests.terminal import Session, at_terminal, emotion_lit
from tests.training.settings.test_config_files import CONFIGS

TINY = [*SMALL, "--data.train_size=70", "--data.val_size=21", "--data.test_size=21", "--trainer.max_epochs=1"]
# What libraries print about themselves.
LIBRARIES = re.compile(r"warn|site-packages|deprecat|GPU available|LOCAL_RANK|INFO|lightning_fabric|tokenizers", re.I)
# Recipes that CI runs at a terminal too, besides the quickstart; `test_config_files` runs all of them in process.
AT_TERMINAL = ("full",)
BAR = re.compile(r"\d+%\||texts/s[\],]|it/s")


def of_recipe(config: Path) -> list[pytest.MarkDecorator]:
    """The marks of a recipe's test."""
    return [] if config.stem in AT_TERMINAL else [pytest.mark.slow]


def fit(folder: Path, *more: str, columns: int = 80, **env: str) -> Session:
    return emotion_lit(
        "fit", *TINY, "--name=test", f"--trainer.default_root_dir={folder}", *more, columns=columns, cwd=folder, **env
    )


def check(session: Session) -> None:
    """Nothing of a library, no traceback, and no rest of a bar is on the screen."""
    assert session.code == 0, session.text
    assert "Traceback" not in session.raw
    assert not [line for line in session.screen if LIBRARIES.search(line)]
    assert not [line for line in session.screen if BAR.search(line)]


def moved(session: Session, title: str) -> bool:
    """Whether a bar was seen in more than two states."""
    return len({line for line in session.frames if line.startswith(title) and BAR.search(line)}) > 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, in a folder with a blank in its name as people have them."""
    folder = tmp_path_factory.mktemp("my runs")
    check(fit(folder, "--model.tuning=full"))
    return folder / "test" / "version_0"


@pytest.mark.parametrize("config", [pytest.param(path, marks=of_recipe(path), id=path.stem) for path in CONFIGS])
def test_every_recipe(config: Path, tmp_path: Path) -> None:
    session = emotion_lit("fit", f"--config={config}", *TINY, "--data.tokens_per_batch=128", cwd=tmp_path)
    check(session)
    assert (next(tmp_path.glob("logs/*/version_0")) / "report.md").is_file()
    assert re.search(r"^macro-F1 +0\.\d{4} +0\.\d{4}$", session.text, re.MULTILINE)


# How the lines of a run's screen begin. Another line, a warning above all, would be a decision: it is added here.
FIT = """
train: validation: test:
emotion_lit model data labels:
class -------- Neutral Surprise Fear Sadness Joy Anger Love total
about epoch
test ------------------- accuracy accuracy, macro-F1 loss log Brier ECE
report TensorBoard label python
"""


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_nothing_else_is_on_the_screen(tmp_path: Path, tuning: str) -> None:
    session = fit(tmp_path, f"--model.tuning={tuning}", columns=300)
    assert [line.split()[0] for line in session.screen if line] == FIT.split()
    (tmp_path / "texts.txt").write_text("I am so glad\nI feel awful\n")
    paths = ["--ckpt_path=test/version_0", "--data.predict_path=texts.txt", "--prediction.path=labels.csv"]
    session = emotion_lit("predict", *paths, cwd=tmp_path)
    assert session.screen == ["2 rows written to labels.csv"]


def test_bars_move(tmp_path: Path) -> None:
    words = [*TINY, "--model.tuning=full", "--data.tokens_per_batch=64", f"--trainer.default_root_dir={tmp_path}"]
    env = {"EMOTION_LIT_CACHE": str(tmp_path)}
    session = at_terminal(sys.executable, "-m", "emotion_lit", "fit", *words, cwd=tmp_path, env=env)
    check(session)
    assert moved(session, "epoch 1/1: ")
    assert any(line.startswith("tokenize train:") for line in session.frames)
    assert any(line.startswith("validate:") for line in session.frames)


def test_what_fits_in_80_columns_and_what_wraps_between_words(tmp_path: Path) -> None:
    session = fit(tmp_path, "--model.tuning=head")
    check(session)
    assert any(re.fullmatch(r"  .*parameters.*|  train .*|.*\(\d+\.\d%\)", line) for line in session.screen)
    words = {word for line in session.screen for word in line.split()}
    assert {"parameters", "validation", "macro-F1"} <= words  # none is broken in two


@pytest.mark.parametrize("columns", [20, 200])
def test_narrow_and_wide_terminals(tmp_path: Path, columns: int) -> None:
    session = fit(tmp_path, columns=columns)
    check(session)
    assert len(session.screen) > 20
    if columns == 20:
        assert "macro-F1" in session.screen
        assert re.search(r"^  0\.\d{4} test before$", session.text, re.MULTILINE)


@pytest.mark.parametrize("variable", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no color"])
def test_terminals_that_can_do_less(tmp_path: Path, variable: dict[str, str]) -> None:
    session = fit(tmp_path, columns=80, **variable)
    check(session)
    assert "\x1b[3" not in session.raw  # no color
    if "TERM" in variable:
        assert "\x1b" not in session.raw  # a dumb terminal knows no codes
        assert "\r" not in session.raw.replace("\r\n", "")  # nor does it go back in a line


@pytest.mark.parametrize("bar", ["--trainer.enable_progress_bar=false", "--trainer.callbacks+=RichProgressBar"])
def test_bars_can_be_switched_off_and_replaced(tmp_path: Path, bar: str) -> None:
    session = fit(tmp_path, bar)
    assert session.code == 0, session.text
    assert "Traceback" not in session.raw
    assert "epoch 1/1: 70 texts in" in session.text
    if "Rich" not in bar:
        check(session)
        assert not BAR.search(session.raw)


def test_predict_shows_a_bar_and_says_where_the_rows_are(run: Path, tmp_path: Path) -> None:
    (tmp_path / "my texts.txt").write_text("".join(f"I feel {'very ' * (n % 30)}well\n" for n in range(20000)))
    arguments = ["--data.predict_path=my texts.txt", "--prediction.path=my labels.csv", "--prediction.engine=auto"]
    session = emotion_lit("predict", f"--ckpt_path={run}", *arguments, cwd=tmp_path)
    check(session)
    assert moved(session, "predict: ")
    assert "20,000 rows written to my labels.csv" in session.text
    assert len((tmp_path / "my labels.csv").read_text().splitlines()) == 20001


def test_rows_go_to_the_terminal_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("what a day!\nso sad\n")
    session = emotion_lit("predict", f"--ckpt_path={run}", "--data.predict_path=texts.txt", columns=300, cwd=tmp_path)
    check(session)
    assert [line for line in session.screen if line.startswith('{"id": 1, "text": "so sad"')]


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", ["test", "validate"])
def test_scores_are_tables_that_fit(run: Path, tmp_path: Path, command: str, columns: int) -> None:
    kept = f"--evaluation.path={tmp_path / 'evaluation.json'}"
    session = emotion_lit(command, f"--ckpt_path={run}", kept, columns=columns, cwd=tmp_path)
    check(session)
    assert any(line.startswith("class") and "recall" in line for line in session.screen)
    assert (tmp_path / "evaluation.json").is_file()


@pytest.mark.parametrize("format", ["hf", "onnx"])
def test_export(run: Path, tmp_path: Path, format: str) -> None:
    session = emotion_lit("export", f"--ckpt_path={run}", "--output=my export", f"--format={format}", cwd=tmp_path)
    check(session)
    assert "checked on 64 texts" in session.text
    assert (tmp_path / "my export" / "README.md").is_file()


def test_report_of_one_run_and_of_several(run: Path, tmp_path: Path) -> None:
    check(emotion_lit("report", str(run), cwd=tmp_path))
    both = [shutil.copytree(run, tmp_path / "runs" / name) for name in ("version_0", "version_1")]
    check(emotion_lit("report", *map(str, both), cwd=tmp_path))
    assert (tmp_path / "runs" / "comparison" / "comparison.html").is_file()


def test_a_printed_command_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    folder.mkdir()
    session = fit(folder, columns=400)
    check(session)
    (printed,) = (line for line in session.screen if line.startswith("python -m emotion_lit predict"))
    words = shlex.split(printed)
    (folder / "texts.txt").write_text("what a day!\n")
    again = at_terminal(sys.executable, *words[1:], cwd=folder)
    check(again)
    assert (folder / "predictions.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "--model.tunning=lora"), "Did you mean model.tuning?"),
        (("predict", "--ckpt_path=nowhere.ckpt"), "there is no checkpoint nowhere.ckpt"),
        (("report", "nowhere"), "there is no run folder nowhere"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    session = emotion_lit(*arguments, columns=300, cwd=tmp_path)
    assert session.code == 2
    assert len(session.screen) == 1
    assert session.screen[0].startswith("error: ")
    assert message in session.screen[0]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("fit", "--help"), ("fit", "--print_config")])
def test_help_fits(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    session = emotion_lit(*arguments, cwd=tmp_path)
    assert session.code == 0
    assert "Traceback" not in session.raw
