"""The READMEs: every command runs or is parsed, all code runs, and no link is broken."""

import argparse
import importlib
import importlib.util
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emotion_lit.cli import main
from tests.conftest import ROOT, SMALL

README = (ROOT / "README.md").read_text(encoding="utf-8")
# In the order in which somebody reads them; what one of them makes, the next ones may use.
PAGES = (
    *("README.md", "configs/README.md", "emotion_lit/training/README.md", "emotion_lit/reporting/README.md"),
    *("emotion_lit/inference/README.md", "emotion_lit/evaluation/README.md", "emotion_lit/data/README.md"),
    *("emotion_lit/cli/README.md", "emotion_lit/model/README.md", "emotion_lit/utils/README.md"),
    *("emotion_lit/cluster/README.md", "emotion_lit/cluster/COST.md"),
    "emotion_lit/sweep/README.md",
    *("tests/model/checkpoint/earlier/README.md", "emotion_lit/README.md"),
    *("emotion_lit/data/sample/README.md", "tests/README.md", "tests/benchmarks/README.md"),
    *(".github/CONTRIBUTING.md", "CHANGELOG.md", "logs/README.md"),
)
# Files that somebody who follows CONTRIBUTING makes.
NEW_FILES = {"emotion_lit/data/formats/avro_reader.py"}
# Programs that commands may start, besides those of this repository.
PROGRAMS = {"coverage", "git", "lint-imports", "mypy", "pip", "pre-commit", "ruff"}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The words of every command, in blocks and in tables."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(python -m emotion_lit \w+ [^`]*)`", text_of(page))
    words = (shlex.split(command, comments=True) for line in lines for command in line.split("&&"))
    return [found for found in words if found]


def of_program(page: str) -> list[list[str]]:
    """What follows `python -m emotion_lit`, without examples that leave words out."""
    found = (words[3:] for words in commands(page) if words[1:3] == ["-m", "emotion_lit"])
    return [words for words in found if not any(word.isupper() and not word.startswith("-") for word in words)]


def own_files() -> dict[str, str]:
    rows = "".join(f'"text number {n}, {("fine", "awful")[n % 2]}",{("joy", "anger")[n % 2]}\n' for n in range(400))
    labeled = "text,labels\n" + rows
    return {"own.csv": labeled, "other.csv": labeled, "texts.txt": "what a day!\nleave me alone\n"}


@pytest.fixture
def ray_of_a_page() -> Iterator[None]:
    """Ends the session of Ray that a page starts, which takes over SIGTERM."""
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("ray_of_a_page")
def test_commands_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As somebody who reads the pages would type them, in one folder; on fewer rows, and training comes first."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", "configs")
    for name, content in own_files().items():
        Path(name).write_text(content)
    typed = dict.fromkeys(tuple(words) for page in PAGES for words in of_program(page))
    assert {words[0] for words in typed} >= {"fit", "test", "predict", "export", "report", "cache"}
    for words in sorted(typed, key=lambda words: words[0] != "fit" or "--ckpt_path" in words):
        run(list(words))
    for page in PAGES:
        for block in blocks(page, "python"):
            exec(compile(block, page, "exec"), {})  # noqa: S102, what a reader runs


def run(words: list[str]) -> None:
    if words[0] == "fit" and "--ckpt_path" not in words:
        fewer = [*SMALL, "--model.pooling=cls"]
        if "own.csv" in words:
            fewer.remove("--data.dataset=sample")
        if "--data.sources" in words:  # the sample has one source
            with pytest.raises(SystemExit, match="^0$"):
                main([*words, "--print_config"])
            return
        words = [*words, *fewer]
    elif words[0] == "predict":
        words = [*words, "--prediction.overwrite=true"]
    elif words[0] == "join":
        words = [*words, "--overwrite=true"]
    elif words[0] == "sweep":
        words = [*words, *SMALL, "--trials=2"]
    main(words)


class Parsed(Exception):  # noqa: N818, no error
    pass


def parse_only(patch: pytest.MonkeyPatch) -> None:
    """Makes programs end as soon as they have understood their command."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_and_end(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        _, others = parse(self, *args, **kwargs)
        # A benchmark hands settings of ours on; words without dashes may be a file that is parsed later.
        assert not [word for word in others if word.startswith("--") and "." not in word]
        raise Parsed

    patch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_end)


@pytest.mark.parametrize("page", PAGES)
def test_other_commands_exist(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in commands(page):
        program = Path(words[0]).name
        if program in ("python", "python3") and words[1] == "-m":
            check_module(words[2], words[3:], monkeypatch)
        elif program not in ("source", "EMOTION_LIT_ASK_INDEX=1"):
            assert program in PROGRAMS, words
        assert not [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()], words


def check_module(module: str, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec(module), module
    if module.startswith("tests.benchmarks.") or module in ("tests.versions", "tests.wheel"):
        with monkeypatch.context() as patch:
            parse_only(patch)
            patch.setattr(sys, "argv", [module, *options])
            with pytest.raises(Parsed):
                importlib.import_module(module).main()


@pytest.mark.parametrize("page", PAGES)
def test_configurations_are_accepted(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block, encoding="utf-8")
        settings = yaml.safe_load(block)
        assert isinstance(settings, dict)
        with pytest.raises(SystemExit, match="^0$"):
            main(["sweep" if "sweep" in settings else "fit", "--config", str(file), "--print_config"])


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(file), f"{page}: {target}"


@pytest.mark.parametrize("page", ["emotion_lit/README.md", ".github/CONTRIBUTING.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`([\w./]+/[\w./]*)`", text_of(page))) - NEW_FILES
    assert named
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "emotion_lit" / path).exists(), f"{page}: {path}"


def test_every_page_is_tested() -> None:
    folders = ("configs", "emotion_lit", "tests", "logs", ".github")
    pages = [*ROOT.glob("*.md"), *(page for name in folders for page in (ROOT / name).rglob("*.md"))]
    generated = {"emotion_lit/cli/SETTINGS.md"}
    tracked = {page.relative_to(ROOT).as_posix() for page in pages if "version_" not in str(page)}
    assert tracked == {*PAGES, *generated}


def test_the_front_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_commands_that_set_up_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in ci
    assert re.search(r"pip install .*-c constraints.txt", README)


def test_nothing_names_a_path_of_one_machine() -> None:
    pattern = re.compile(r"/(home|root|work|tmp)/\w")
    for path in [*map(ROOT.joinpath, PAGES), *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("emotion_lit/**/*.py")]:
        assert not pattern.search(path.read_text(encoding="utf-8")), path
