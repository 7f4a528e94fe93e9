"""Every command of the README works."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from emotion_lit.cli import main
from tests.conftest import ROOT, SMALL

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The lines that call the program, without what sets it up."""
    found = []
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words[1:3] == ["-m", "emotion_lit"]:
                    found.append(words[3:])
    return found


def test_commands_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page, in one folder, as somebody who reads it would type them; on fewer rows."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", "configs")
    for name, content in own_files().items():
        Path(name).write_text(content)
    ran = commands()
    assert {words[0] for words in ran} >= {"fit", "test", "predict"}
    for words in ran:
        fewer = [*SMALL, "--model.pooling=cls"] if words[0] == "fit" and "--ckpt_path" not in words else []
        if "own.csv" in " ".join(words):
            fewer.remove("--data.dataset=sample")
        main([*words, *fewer])
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102, what a reader runs


def own_files() -> dict[str, str]:
    rows = "".join(f'"text number {n}, {("fine", "awful")[n % 2]}",{("joy", "anger")[n % 2]}\n' for n in range(400))
    return {"own.csv": "text,labels\n" + rows, "texts.txt": "what a day!\nleave me alone\n"}


def test_the_commands_that_set_up_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in ci
    assert re.search(r"pip install .*-c constraints.txt", README)


def test_nothing_names_a_path_of_one_machine() -> None:
    pattern = re.compile(r"/(home|root|work|tmp)/\w")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("emotion_lit/**/*.py")]:
        assert not pattern.search(path.read_text(encoding="utf-8")), path
