"""Commands in a notebook, whose process outlives them."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from emotion_lit.errors import UserError
from emotion_lit.utils import signals
from tests.conftest import BACKBONE
from tests.utils.test_signals import FIT, at_batch


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


def test_an_interrupt_keeps_the_checkpoint_and_leaves_the_notebook_usable(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, handlers = tmp_path / "own" / "version_0", [signal.getsignal(one) for one in signals.NAMES if one]
    shell.user_ns |= {"words": [*FIT, f"--trainer.default_root_dir={tmp_path}"], "run": run}
    shell.run_cell("from emotion_lit.cli import main; from emotion_lit import load")
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, 2, signal.SIGINT)
        result = shell.run_cell("main(words)")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    said = capsys.readouterr()
    last = run / "checkpoints" / "last.ckpt"
    assert f"interrupted; resume with: python -m emotion_lit fit --ckpt_path {last}" in said.out + said.err
    assert last.is_file()
    assert not (run / "report.json").exists()
    assert [signal.getsignal(one) for one in signals.NAMES if one] == handlers
    assert signals.received() is None  # a Trainer that is used next would stop
    assert not torch.distributed.is_initialized()
    assert shell.run_cell(f"main(['fit', '--ckpt_path={last}'])").success
    assert (run / "report.json").is_file()
    assert shell.run_cell(f"load(run, {str(BACKBONE)!r})('what a day!')").success


def test_a_run_that_failed_at_its_start_is_known_everywhere(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_lit.training.module.EmotionClassifier.training_step", lambda *_: 1 / 0)
    run = tmp_path / "own" / "version_0"
    shell.user_ns |= {"words": [*FIT, f"--trainer.default_root_dir={tmp_path}"], "run": run}
    assert not shell.run_cell("from emotion_lit.cli import main; from emotion_lit import load; main(words)").success
    assert (run / "config.yaml").is_file()
    line = f"it ended before its first checkpoint, so start it again with: python -m emotion_lit fit --config {run}"
    checkpoints = [run, run / "checkpoints", run / "checkpoints" / "best.ckpt"]
    cells = [f"main(['report', '{run}'])", *(f"load('{one}')" for one in checkpoints)]
    cells += [f"main(['{stage}', '--ckpt_path={run}'])" for stage in ("fit", "test", "validate")]
    cells += [f"main(['predict', '--ckpt_path={one}', '--data.predict_path=x.txt'])" for one in checkpoints]
    cells += [f"main(['export', '--ckpt_path={run}', '--output={tmp_path / 'out'}'])"]
    for cell in cells:
        capsys.readouterr()
        result = shell.run_cell(cell)
        assert isinstance(result.error_in_exec, UserError), cell
        assert line in str(result.error_in_exec), cell
        assert capsys.readouterr().out.count("error: ") == 1
