"""The sampler: TPE whose choices depend on the finished trials and the position of a trial, not on the process."""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from emotion_lit.sweep.space import Space

# Trials with random values, before the estimator has enough to learn from.
STARTUP_TRIALS = 8


class PositionSampler(BaseSampler):
    """Optuna's tree-structured Parzen estimator (TPE, Bergstra et al. 2011), seeded anew for each trial.

    A trial whose process was killed has failed, and the next one takes over its position and its seed. With the same
    finished trials it has the same values, so a sweep that was interrupted goes on as if it had not been.

    Args:
        space: The search space.
        seed: The seed of the sweep.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed
        self._samplers: dict[int, TPESampler] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The whole space, whatever the configuration's own trial has of it."""
        return dict(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values that depend on each other."""
        return self._sampler(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for the first trials."""
        return self._sampler(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def _sampler(self, study: Study, trial: FrozenTrial) -> TPESampler:
        if trial.number not in self._samplers:
            seed = (self.seed * 1_000_003 + position(study, trial.number)) % 2**32
            self._samplers = {trial.number: TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)}
        return self._samplers[trial.number]


def position(study: Study, number: int) -> int:
    """The position of a trial among those that have not failed."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return number - sum(trial.number < number for trial in failed)
