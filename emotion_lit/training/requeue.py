"""SLURM requeueing: a requeued job resumes the run that it was training."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotion_lit.utils.console import say

RECORD = "requeue.json"


def job_id() -> str | None:
    """The id of the SLURM job of this process, if any."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def write_record(run: Path, arguments: Sequence[str], requeued: bool = False) -> None:
    """Writes the SLURM job to the run folder, so that the requeued job finds it; does nothing outside of a job.

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


def interrupted_run(runs: Path, arguments: Sequence[str]) -> Path | None:
    """The run that the same command of the same job was training when the job was requeued.

    Args:
        runs: The folder of the runs with this name.
        arguments: The arguments of the command.

    Returns:
        Its last checkpoint; None if this is no requeued job, or no checkpoint was saved.
    """
    if job_id() is None:
        return None
    for file in sorted(runs.glob(f"*/{RECORD}"), key=os.path.getmtime, reverse=True):
        record = _read(file)
        again = record.get("requeued") or _restarts() > int(record.get("restarts", 0))
        last = file.parent / "checkpoints" / "last.ckpt"
        if again and record.get("job") == job_id() and record.get("arguments") == list(arguments) and last.is_file():
            return last
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def requeue_job() -> bool:
    """Requeues the SLURM job, and prints whether it worked.

    Returns:
        Whether it worked.
    """
    program, name = shutil.which("scontrol"), job_id() or ""
    done = program is not None and subprocess.run([program, "requeue", name], check=False).returncode == 0  # noqa: S603, as typed
    say(f"job {name} is queued again" if done else f"job {name} could not be queued again with `scontrol requeue`")
    return done
