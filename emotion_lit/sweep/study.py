"""The study of a sweep: its trials, in a journal that several processes share and that survives them."""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
import psutil
from filelock import FileLock
from optuna.pruners import BasePruner, NopPruner, PercentilePruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial, TrialState

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint.stored_settings import flatten
from emotion_lit.sweep.budget import ALIVE, FINISHED
from emotion_lit.sweep.sampler import PositionSampler
from emotion_lit.sweep.space import Space, described
from emotion_lit.utils import platforms
from emotion_lit.utils.names import listed

Direction = Literal["maximize", "minimize"]

JOURNAL, LOCK = "journal.log", "journal.begin"
# The attributes of a study and of its trials.
OWNER, DEFAULT, SETTINGS = "owner", "default", "settings"
# Settings that may differ between the processes of a sweep, such as the places of folders on several machines.
MACHINE_SETTINGS = (
    *("trainer.default_root_dir", "data.cache_dir", "data.num_workers"),
    *("trainer.enable_progress_bar", "trainer.accelerator", "last.every_minutes"),
)
# A trial of another machine is dead if it has given no sign of life for this long.
DEAD_SECONDS = 600.0
# The share of the trials, among those that came as far, that are not pruned, once a few trials are complete. The first
# eighth of the training says little: pruning there lost the best trial in two of two sweeps.
KEPT_PERCENT, COMPLETE_TRIALS, FIRST_PART = 50.0, 4, 2
# Processes that open a new database at the same moment all create its tables, and the database refuses all but one.
CREATED_BY_ANOTHER = ("already exists", "unique", "duplicate")
IN_MEMORY = ("sqlite://", "sqlite:///", "sqlite:///:memory:")
OPENING_ATTEMPTS, OPENING_PAUSE = 30, 0.1


def open_study(
    name: str, folder: Path, storage: str | None, space: Space, seed: int, direction: Direction, pruning: bool
) -> optuna.Study:
    """Opens a study, or creates it.

    Args:
        name: The name of the sweep.
        folder: Its folder, which has the journal.
        storage: The URL of a database to use instead of the journal.
        space: The search space.
        seed: The seed of the sampler.
        direction: Whether a larger or a smaller score is better.
        pruning: Whether hopeless trials are stopped.

    Raises:
        UserError: The database cannot be reached, or the journal is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not storage and _is_empty(folder / JOURNAL) and any(folder.glob("trial_*")):
        raise UserError(
            f"{folder} has trials, but its {JOURNAL} is empty or missing; restore it, remove {folder}, or give another "
            "--name"
        )
    pruner: BasePruner = NopPruner()
    if pruning:
        pruner = make_pruner()
    try:
        return optuna.create_study(
            study_name=name,
            storage=_database(storage) if storage else _journal(folder / JOURNAL),
            sampler=PositionSampler(space, seed),
            pruner=pruner,
            direction=direction,
            load_if_exists=True,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if storage:
            raise
        raise UserError(
            f"{folder / JOURNAL} is damaged; remove {folder} to start the sweep again, or give another --name"
        ) from error


def _is_empty(file: Path) -> bool:
    return not file.is_file() or file.stat().st_size == 0


def make_pruner() -> BasePruner:
    """Stops a trial that is worse than the median of the complete trials at the same part of their training."""
    return PercentilePruner(KEPT_PERCENT, n_startup_trials=COMPLETE_TRIALS, n_warmup_steps=FIRST_PART)


def _journal(file: Path) -> BaseStorage:
    kind = JournalFileOpenLock if platforms.is_windows() else JournalFileSymlinkLock
    lock = kind(str(file))
    if file.exists():
        lock.acquire()
        try:
            _complete_lines(file)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))


def _complete_lines(file: Path) -> None:
    """Removes the last line if its writer was killed; what is appended to it could not be read."""
    with file.open("rb+") as journal:
        content = journal.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            journal.truncate(whole)


def _database(url: str) -> BaseStorage:
    if url in IN_MEMORY:
        raise UserError(
            f"sweep.storage {url} is in memory, and is lost with the process; name a file, sqlite:///sweep.db"
        )
    attempts = OPENING_ATTEMPTS
    while True:
        try:
            return RDBStorage(url)
        except Exception as error:  # each driver has its own
            reason, attempts = " ".join(str(error).split()), attempts - 1
            if not attempts or not any(words in reason.lower() for words in CREATED_BY_ANOTHER):
                raise UserError(
                    f"sweep.storage: the database cannot be opened: {reason[:200]}; give a URL such as "
                    "sqlite:///sweep.db, or leave it out for a journal in the sweep's folder"
                ) from error
        time.sleep(OPENING_PAUSE)


def check_same(study: optuna.Study, folder: Path, settings: Mapping[str, Any], space: Space) -> None:
    """Records what a sweep is about, or compares it with what it was about before.

    Args:
        study: The study.
        folder: The folder of the sweep.
        settings: The settings of its trials.
        space: The search space.

    Raises:
        UserError: The settings or the space differ, so that the trials would not compare.
    """
    kept = {key: value for key, value in flatten(settings).items() if key not in MACHINE_SETTINGS}
    now = {"space": {key: described(one) for key, one in space.items()}, **kept}
    then = study.user_attrs.get(SETTINGS)
    if then is None:
        study.set_user_attr(SETTINGS, now)
        return
    now = json.loads(json.dumps(now))
    different = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if different:
        raise UserError(
            f"the sweep in {folder} was started with other settings ({listed(different, 5)}); give another --name for "
            "a new sweep, or the settings of that one"
        )


@contextlib.contextmanager
def begin_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time begin a trial."""
    with FileLock(folder / LOCK):
        yield


def begin_trial(study: optuna.Study, own_choices: Mapping[str, Any]) -> Trial:
    """Begins a trial: that of the configuration as given, if there is none, or else one with other values.

    Args:
        study: The study.
        own_choices: The configuration's values of the settings that are choices.
    """
    if not any(is_default(trial) and trial.state != TrialState.FAIL for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(dict(own_choices), user_attrs={DEFAULT: True})
    trial = study.ask()
    trial.set_user_attr(OWNER, _identity())
    trial.set_user_attr(ALIVE, time.time())
    return trial


def is_default(trial: FrozenTrial | Trial) -> bool:
    """Whether a trial is that of the configuration as given."""
    return bool(trial.user_attrs.get(DEFAULT))


def fail_dead_trials(study: optuna.Study) -> list[int]:
    """Marks trials as failed whose process has ended, so that others take their place; inside `begin_lock`.

    Returns:
        Their numbers.
    """
    dead = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if not _is_alive(trial)]
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return [trial.number for trial in dead]


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were trained to their end, cut or pruned."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def running(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that other processes are training."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The best complete trial; of equal ones the first. None if there is none yet."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return max(complete, key=lambda trial: (sign * float(trial.value or 0.0), -trial.number), default=None)


def _identity() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "since": psutil.Process().create_time()}


def _is_alive(trial: FrozenTrial) -> bool:
    owner = trial.user_attrs.get(OWNER)
    if owner is None:  # its process was killed before it released the lock that we hold
        return False
    if owner["host"] != platform.node():
        return time.time() - float(trial.user_attrs.get(ALIVE, 0.0)) < DEAD_SECONDS
    with contextlib.suppress(psutil.Error):
        since: float = psutil.Process(owner["pid"]).create_time()
        return abs(since - float(owner["since"])) < 1 and owner["pid"] != os.getpid()
    return False
