"""Requeueing: a job that SLURM or torchrun starts again resumes the run that it was training."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emotion_lit.model.checkpoint import LAST, PREVIOUS
from emotion_lit.training.launchers import launched_rank
from emotion_lit.utils.console import say

RECORD = "requeue.json"
# The run id of torchrun without --rdzv-id, which all such commands share.
NO_ID = "none"


def job_id() -> str | None:
    """The id of the SLURM job of this process, or of its torchrun; a task of a job array has an id of its own."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    slurm = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    torchrun = os.environ.get("TORCHELASTIC_RUN_ID", NO_ID)
    return slurm or (f"torchrun {torchrun}" if torchrun != NO_ID else None)


def write_record(run: Path, arguments: Sequence[str], requeued: bool = False) -> None:
    """Writes the job to the run folder, so that the job finds it when it is started again.

    Outside of a job it does nothing.

    Args:
        run: The run folder.
        arguments: The arguments of the command.
        requeued: Whether the job has been requeued.
    """
    if job_id() is None:
        return
    record = {"job": job_id(), "restarts": _restarts(), "requeued": requeued, "arguments": list(arguments)}
    run.mkdir(parents=True, exist_ok=True)
    (run / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def remove_record(run: Path) -> None:
    """Removes the record of a finished run.

    Args:
        run: The run folder.
    """
    (run / RECORD).unlink(missing_ok=True)


def interrupted_run(folders: Iterable[Path], arguments: Sequence[str]) -> Path | None:
    """The run that the same command of the same job was training when the job was stopped.

    Args:
        folders: The folders of the runs with this name.
        arguments: The arguments of the command.

    Returns:
        Its last checkpoint, or the one before if that is missing; None if the job is started for the first time, or no
        checkpoint was saved, which is printed.
    """
    if job_id() is None:
        return None
    files = {file for runs in folders for file in runs.glob(f"*/{RECORD}")}
    for file in sorted(files, key=os.path.getmtime, reverse=True):
        record = _read(file)
        again = record.get("requeued") or _restarts() > _as_restarts(record.get("restarts"))
        if not again or record.get("job") != job_id() or record.get("arguments") != list(arguments):
            continue
        checkpoints = [file.parent / "checkpoints" / name for name in (LAST, PREVIOUS)]
        found = next((checkpoint for checkpoint in checkpoints if checkpoint.is_file()), None)
        if found is not None:
            say(f"job {job_id()} has been started again: resuming from {found}", wrap=False)
            return found
        say(f"job {job_id()} has been started again, but {file.parent} has no checkpoint: starting over", wrap=False)
        if launched_rank() == 0:
            remove_record(file.parent)
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _restarts() -> list[int]:
    """How often the job was started again, by SLURM and by torchrun."""
    return [int(os.environ.get(name) or 0) for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")]


def _as_restarts(value: Any) -> list[int]:
    """The restarts in a record; earlier versions stored those of SLURM alone."""
    return [int(number) for number in value] if isinstance(value, list) else [int(value or 0), 0]


def requeue_job() -> bool:
    """Requeues the SLURM job, and prints whether it worked.

    Returns:
        Whether it worked.
    """
    program, name = shutil.which("scontrol"), job_id() or ""
    done = program is not None and subprocess.run([program, "requeue", name], check=False).returncode == 0  # noqa: S603, as typed
    say(f"job {name} is queued again" if done else f"job {name} could not be queued again with `scontrol requeue`")
    return done
