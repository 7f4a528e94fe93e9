"""The study of a sweep: which trials are pruned, and when."""

import optuna

from emotion_lit.sweep.study import COMPLETE_TRIALS, make_pruner


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
