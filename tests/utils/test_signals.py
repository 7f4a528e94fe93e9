"""Ctrl-C and SIGTERM: what ends, what is kept, and what is said about going on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.utils import signals
from tests.conftest import ROOT, SMALL
from tests.fork_server import forked

FIT = ["fit", *SMALL, "--model.tuning=head", "--data.tokens_per_batch=512", "--name=own"]


def at_batch(patch: pytest.MonkeyPatch, number: int, received: signal.Signals) -> None:
    """Sends a signal in a training step, once."""
    original, seen = Throughput.on_train_batch_start, [0]

    def hook(self: Throughput, *args: Any) -> None:
        seen[0] += 1
        if seen[0] == number:
            os.kill(os.getpid(), received)
        original(self, *args)

    patch.setattr(Throughput, "on_train_batch_start", hook)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    main([*FIT, "--trainer.accumulate_grad_batches=2", f"--trainer.default_root_dir={folder}"])
    return folder / "own" / "version_0"


@pytest.mark.parametrize("number", [3, 8], ids=["inside an epoch", "in its last step"])
def test_a_signal_in_training_keeps_what_is_needed_to_go_on(
    whole: Path, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "own" / "version_0"
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, number, signal.SIGTERM)
        with pytest.raises(SystemExit) as exit_info:
            main([*FIT, "--trainer.accumulate_grad_batches=2", f"--trainer.default_root_dir={tmp_path}"])
    assert exit_info.value.code == 143
    said = capsys.readouterr().err
    assert "terminated: stopping after this step or validation" in said
    last = run / "checkpoints" / "last.ckpt"
    assert f"resume with: python -m emotion_lit fit --ckpt_path {last}" in said
    assert not (run / "report.json").exists()
    step = torch.load(last, weights_only=True)["global_step"]
    assert 0 < step < torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    main(["fit", f"--ckpt_path={last}"])
    expected, resumed = weights(whole), weights(run)
    assert all(torch.equal(value, resumed[name]) for name, value in expected.items())
    assert (run / "report.json").exists()


def test_an_interrupt_stays_one_for_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, 1, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            main([*FIT, f"--trainer.default_root_dir={tmp_path}"])
    assert "interrupted; resume with: " in capsys.readouterr().err


def test_before_training_a_signal_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BeforeFineTuning, "on_fit_start", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as exit_info:
        main([*FIT, f"--trainer.default_root_dir={tmp_path}"])
    assert exit_info.value.code == 143
    assert "terminated; no checkpoint was saved to resume from" in capsys.readouterr().err


def test_a_second_signal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with signals.handled():
        signals.defer("this")
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received() == signal.SIGINT
        assert codes == []
        os.kill(os.getpid(), signal.SIGINT)
    assert codes == [130]


@pytest.mark.parametrize(("received", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_predict_ends_while_standard_input_stalls(
    tiny_run: Path, tmp_path: Path, received: signal.Signals, code: int
) -> None:
    command = [*forked(), "-m", "emotion_lit", "predict", f"--ckpt_path={tiny_run}", "--data.predict_path=-"]
    process = subprocess.Popen(
        [*command, f"--prediction.path={tmp_path / 'out.csv'}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stderr
    process.stdin.write("what a day!\n")
    process.stdin.flush()
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob(".out.csv*")):  # it has opened its output, and waits for more
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(received)
    assert process.wait(20) == code
    said = process.stderr.read()
    assert "Traceback" not in said
    assert "Fatal" not in said
    assert "the same command resumes where it stopped" in said


def test_an_interrupt_before_the_start_is_one_line() -> None:
    """Importing PyTorch takes seconds; the signal comes when the first of it is there."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['emotion_lit', 'fit']\n"
        "from emotion_lit.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "interrupted before the start\n"
