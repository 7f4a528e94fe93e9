"""The study of a sweep: which trials are pruned, and when."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import optuna

from emotion_lit.sweep.study import COMPLETE_TRIALS, make_pruner, open_study


def test_a_trial_is_not_pruned_by_the_first_eighth_of_its_training() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner())
    for _ in range(COMPLETE_TRIALS):
        complete = study.ask()
        for part in (1, 2, 3):
            complete.report(0.5, part)
        study.tell(complete, 0.5)
    worse = study.ask()
    worse.report(0.4, 1)
    assert not worse.should_prune()
    worse.report(0.4, 2)
    assert worse.should_prune()


def test_a_new_database_is_opened_by_several_at_the_same_moment(tmp_path: Path) -> None:
    together = Barrier(4)

    def name(_: int) -> str:
        together.wait()
        return open_study("small", tmp_path, f"sqlite:///{tmp_path / 'new.db'}", {}, 1, "maximize", True).study_name

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(name, range(4))) == ["small"] * 4
