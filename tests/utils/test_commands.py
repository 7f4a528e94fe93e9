import re
import subprocess
import sys

import pytest
from lightning.pytorch.cli import LightningCLI

from emotion_lit.cli.entry_point import TOOLS, main
from emotion_lit.utils.commands import COMMANDS


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def test_help_needs_no_pytorch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['emotion_lit', '--help']; runpy.run_module('emotion_lit', run_name='__main__')"
    )
    out = python("-c", f"{code}; sys.exit('torch' in sys.modules)")
    assert all(re.search(rf"^  {name} +\w", out, re.MULTILINE) for name in COMMANDS)
    assert python("-m", "emotion_lit") == out
    assert python("-m", "emotion_lit", "--version").startswith("emotion_lit ")


def test_the_help_page_knows_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert list(COMMANDS) == [*LightningCLI.subcommands(), *TOOLS]
