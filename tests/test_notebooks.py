"""Commands in a notebook, whose process outlives them."""

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from emotion_lit import signals
from emotion_lit.errors import UserError


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What runs the cells of a notebook."""
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)  # as IPython sets it, for good
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_a_mistake_is_an_error_of_one_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("from emotion_lit.cli import main; main(['test', '--ckpt_path=nowhere.ckpt'])")
    assert isinstance(result.error_in_exec, UserError)
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("error: there is no checkpoint nowhere.ckpt")


def test_a_mistake_of_a_loaded_model_is_one_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("from emotion_lit import load; load('nowhere.ckpt')")
    said = capsys.readouterr().out
    assert said.startswith("error: there is no checkpoint nowhere.ckpt")
    assert "Traceback" not in said


def test_a_second_interrupt_leaves_the_notebook_alive(shell: Any) -> None:
    with signals.handled():
        signals.defer("this step")
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
