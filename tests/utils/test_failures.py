"""What a person reads when something fails that is no mistake in what was typed."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from emotion_lit.cli import main
from emotion_lit.utils import failures
from tests.conftest import ROOT, SMALL, failing
from tests.fork_server import forked

LONG = ["--data.train_size=1500", "--model.tuning=full", "--trainer.max_epochs=5", "--name=own"]


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps", "tpu", "nonsense"])
def test_an_accelerator_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], accelerator: str) -> None:
    line = failing(
        capsys, "fit", *SMALL, f"--trainer.accelerator={accelerator}", f"--trainer.default_root_dir={tmp_path}"
    )
    assert accelerator in line


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "here/last.ckpt"), "here/last.ckpt"),
        (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (MemoryError(), "data.tokens_per_batch"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            "tokens_per_batch",
        ),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "TMPDIR"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    advice: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("emotion_lit.training.module.EmotionClassifier.training_step", fail)
    line = failing(capsys, "fit", *SMALL, f"--trainer.default_root_dir={tmp_path}")
    assert advice in line


def test_a_fault_of_ours_leaves_its_traceback_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failures, "run_folder", None)
    try:
        dict[str, str]()["nothing"]
    except KeyError as error:
        line = failures.unexpected(error)
    assert line.startswith("error: unexpected: KeyError: 'nothing'; the whole traceback is in ")
    assert "Traceback" in (tmp_path / "emotion_lit-traceback.txt").read_text()


def test_the_program_ends_with_one_line_and_exit_code_1(tmp_path: Path) -> None:
    code = (
        "import emotion_lit.cli.entry_point as program\n"
        "def fail(*_): raise KeyError('nothing')\n"
        "program._run = fail\n"
        "from emotion_lit.__main__ import run; run()"
    )
    words = [sys.executable, "-c", code, "fit"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "emotion_lit-traceback.txt").is_file()
    environment["EMOTION_LIT_DEBUG"] = "1"
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr


def test_a_file_system_without_locks(
    tiny_run: Path,
    texts_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    main(
        [
            "predict",
            f"--ckpt_path={tiny_run}",
            f"--data.predict_path={texts_file}",
            f"--prediction.path={tmp_path}/o.csv",
        ]
    )
    assert "has no locks" in capsys.readouterr().err
    assert (tmp_path / "o.csv").is_file()


def limited(limit: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(limit, (value, value))


def test_files_may_not_be_large(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "emotion_lit", "fit", *SMALL, f"--trainer.default_root_dir={tmp_path}"]
    done = subprocess.run(
        [*words, "--model.tuning=full"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited(resource.RLIMIT_FSIZE, 3_000_000),
    )
    assert done.returncode == 0, done.stderr  # the training is complete, and its report is there
    assert "Traceback" not in done.stderr
    best = tmp_path / "emotion" / "version_0" / "checkpoints" / "best.ckpt"
    assert f"missing      best.ckpt: {best} is truncated" in done.stderr
    assert "ulimit -f" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, number: int, code: int) -> None:
    words = [*forked(), "-m", "emotion_lit", "fit", *SMALL, *LONG, f"--trainer.default_root_dir={tmp_path}"]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    while "about " not in said:  # the estimate comes before the first step
        said += process.stderr.readline()
        assert process.poll() is None, said
    time.sleep(3)
    process.send_signal(number)
    start = time.monotonic()
    said += process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert time.monotonic() - start < 20
    last = tmp_path / "own" / "version_0" / "checkpoints" / "last.ckpt"
    assert f"resume with: python -m emotion_lit fit --ckpt_path {last}" in said
    assert last.is_file()
    assert "Traceback" not in said
