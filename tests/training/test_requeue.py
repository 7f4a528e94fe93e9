"""Jobs that are started again: which run they resume, and which they leave alone."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.cli import main
from emotion_lit.training import requeue
from emotion_lit.training.run_folder import FolderLogger, RunLogger
from tests.conftest import SMALL

SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "job", "SLURM_NODELIST": "node1", "SLURM_NNODES": "1"}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process as a job of SLURM, with a `scontrol` that writes what it is asked for to this file."""
    asked = tmp_path / "bin" / "asked"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EMOTION_LIT_PARENT", raising=False)
    return asked


def run_in(runs: Path, version: int, *checkpoints: str, arguments: str = "fit") -> Path:
    """A run folder of the job, with these checkpoints."""
    run = runs / f"version_{version}"
    (run / "checkpoints").mkdir(parents=True)
    for name in checkpoints:
        (run / "checkpoints" / name).touch()
    requeue.write_record(run, [arguments])
    os.utime(run / requeue.RECORD, (version, version))
    return run


def test_the_newest_run_of_the_job_that_has_a_checkpoint(
    tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "own"
    own = run_in(runs, 0, "last.ckpt")
    run_in(runs, 1, "last.ckpt", arguments="fit --other")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    run_in(runs, 2, "last.ckpt")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    empty = run_in(runs, 3)
    assert requeue.interrupted_run([runs], ["fit"]) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert requeue.interrupted_run([runs], ["fit"]) == own / "checkpoints" / "last.ckpt"
    assert f"{empty} has no checkpoint" in capsys.readouterr().err
    assert requeue.interrupted_run([runs], ["fit"]) == own / "checkpoints" / "last.ckpt"
    assert str(empty) not in capsys.readouterr().err


def test_the_checkpoint_before_if_the_last_is_missing(
    tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = run_in(tmp_path, 0, "previous.ckpt")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert requeue.interrupted_run([tmp_path], ["fit"]) == own / "checkpoints" / "previous.ckpt"


def test_torchrun_restarts_its_processes(tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run_in(tmp_path, 0, "last.ckpt")
    last = own / "checkpoints" / "last.ckpt"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert requeue.interrupted_run([tmp_path], ["fit"]) == last
    requeue.write_record(own, ["fit"])
    assert requeue.interrupted_run([tmp_path], ["fit"]) is None
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")  # a new torchrun, in the job that SLURM has started again
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert requeue.interrupted_run([tmp_path], ["fit"]) == last
    for name in SLURM:
        monkeypatch.delenv(name)
    assert requeue.job_id() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert requeue.job_id() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    requeue.write_record(own, ["fit"])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert requeue.interrupted_run([tmp_path], ["fit"]) == last


def test_a_record_of_an_earlier_version(tmp_path: Path, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run_in(tmp_path, 0, "last.ckpt")
    record = json.loads((own / requeue.RECORD).read_text())
    (own / requeue.RECORD).write_text(json.dumps({**record, "restarts": 1}))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert requeue.interrupted_run([tmp_path], ["fit"]) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert requeue.interrupted_run([tmp_path], ["fit"]) is not None


def test_a_job_that_continues_a_checkpoint_under_another_name_keeps_its_own_progress(
    tmp_path: Path, job: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", f"--ckpt_path={tiny_run}", "--name=new", f"--trainer.default_root_dir={tmp_path}"]
    main([*words, "--trainer.max_epochs=3"])
    new = tmp_path / "new" / "version_0"
    requeue.write_record(new, [*words, "--trainer.max_epochs=3"])
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    main([*words, "--trainer.max_epochs=3"])
    said = capsys.readouterr().err
    assert f"resuming from {new / 'checkpoints' / 'last.ckpt'}" in said
    assert "all 3 epochs are already trained" in said
    assert [folder.name for folder in new.parent.iterdir()] == ["version_0"]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs the signals of POSIX")
@pytest.mark.parametrize("command", ["fit", "predict"])
def test_a_job_that_is_preempted_before_it_has_begun_is_queued_again(
    command: str, tmp_path: Path, job: Path, tiny_run: Path, texts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_lit.training.settings.lightning_cli import EmotionCLI

    def preempted(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        threading.Event().wait(5)

    monkeypatch.setattr(EmotionCLI, "instantiate_classes", preempted)
    labels = tmp_path / "labels.csv"
    words = {
        "fit": [*SMALL, f"--trainer.default_root_dir={tmp_path / 'logs'}"],
        "predict": [f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", f"--prediction.path={labels}"],
    }
    with pytest.raises(SystemExit) as end:
        main([command, *words[command]])
    assert end.value.code == 0
    assert job.read_text() == "requeue 7\n"
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    with pytest.raises(SystemExit) as end:  # the first task asks for all
        main([command, *words[command]])
    assert end.value.code == 0
    assert job.read_text() == "requeue 7\n"


@pytest.mark.parametrize("kind", [RunLogger, FolderLogger])
def test_runs_that_start_together_have_a_folder_each(kind: Any, tmp_path: Path) -> None:
    loggers = [kind(str(tmp_path), name="own") for _ in range(8)]
    together = threading.Barrier(len(loggers))

    def begin(logger: Any) -> None:
        together.wait()
        folders.append(logger.log_dir)

    folders: list[str] = []
    threads = [threading.Thread(target=begin, args=(logger,)) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Path(folder).name for folder in folders) == [f"version_{number}" for number in range(8)]
    assert all(Path(folder).is_dir() for folder in folders)
