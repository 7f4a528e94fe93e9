"""A sweep as a function: settings in, the best configuration and its comparison with the given one out."""

import gc
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from emotion_lit.data.corpus import corpora_kept
from emotion_lit.errors import UserError
from emotion_lit.sweep import study as studies
from emotion_lit.sweep.best_config import command_to_train, write_best_config
from emotion_lit.sweep.budget import ALIVE, EPOCHS, Budget, busy_seconds, closing_seconds, expected_seconds
from emotion_lit.sweep.comparison import Comparison, compare_on_test
from emotion_lit.sweep.page import write_sweep_page
from emotion_lit.sweep.plan import SweepPlan
from emotion_lit.sweep.progress import say_begin, say_end, say_files, say_result
from emotion_lit.sweep.space import suggest, suggest_own
from emotion_lit.sweep.trial import TrialCallback
from emotion_lit.training.hyperparameters import effective_settings
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.monitors import monitor_mode
from emotion_lit.training.run import RunResult, fit
from emotion_lit.utils import console, failures, signals

LOG = "sweep.log"
ERROR, CUT, FOLDER = "error", "cut", "folder"
# A sweep ends if this many trials in a row could not be trained.
MOST_ERRORS = 3


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        folder: Its folder.
        best: The best trial.
        comparison: Its scores on the test split, and those of the configuration as given; None if other processes
            still train trials, or the checkpoints are on another machine.
    """

    folder: Path
    best: FrozenTrial | None
    comparison: Comparison | None


class Sweep:
    """Runs trials until the budget is used up, and compares the best one with the configuration as given.

    Args:
        plan: What to do.

    Raises:
        UserError: The folder has a sweep with other settings, or the database cannot be reached.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self.plan = plan
        plan.folder.mkdir(parents=True, exist_ok=True)
        console.keep_log(plan.folder / LOG)
        direction: studies.Direction = "minimize" if monitor_mode(plan.metric) == "min" else "maximize"
        self.study = studies.open_study(
            plan.name, plan.folder, plan.storage, plan.space, plan.seed, direction, plan.pruning
        )
        with studies.begin_lock(plan.folder):
            studies.check_same(self.study, plan.folder, plan.settings, plan.space)
            if EPOCHS not in self.study.user_attrs:
                self.study.set_user_attr(EPOCHS, max(plan.own["trainer.max_epochs"] or 1, 1))
                self.study.set_user_attr("precision", plan.precision)
            self._fail_dead_trials()
        self.budget = Budget(plan.budget, self.study.get_trials(deepcopy=False), plan.started)
        self._errors = 0

    def run(self) -> SweepResult:
        """Runs the trials and the comparison.

        Raises:
            UserError: The configuration cannot be trained, or the budget is shorter than one trial.
            signals.Stop: A signal was received; the same command goes on.
        """
        with corpora_kept():
            while (trial := self._next()) is not None:
                self._train(trial)
            return self._finish()

    def _next(self) -> Trial | None:
        """Begins a trial; None if the sweep is over."""
        with studies.begin_lock(self.plan.folder):
            self._fail_dead_trials()
            done, others = studies.finished(self.study), studies.running(self.study)
            if self.plan.trials is not None and len(done) + len(others) >= self.plan.trials:
                return None
            facts = self.study.user_attrs
            if done and not self.budget.fits(expected_seconds(done, facts[EPOCHS]), closing_seconds(facts)):
                return None
            choices = {
                key: value
                for key, one in self.plan.space.items()
                if isinstance(one, CategoricalDistribution) and (value := self._own(key)) in one.choices
            }
            return studies.begin_trial(self.study, choices)

    def _fail_dead_trials(self) -> None:
        for number in studies.fail_dead_trials(self.study):
            console.say(f"trial {number} was interrupted; another one takes its place")

    def _own(self, key: str) -> Any:
        """The configuration's value of a setting; None if the default depends on the encoder."""
        value = self.plan.own[key]
        if value is None and key == "model.pooling":
            return "mean" if self.plan.own["model.tuning"] == "head" else "cls"
        return value

    def _train(self, trial: Trial) -> None:
        default = studies.is_default(trial)
        values = {} if default else {key: suggest(trial, key, one) for key, one in self.plan.space.items()}
        trial.set_user_attr("values", values)
        done = studies.finished(self.study)
        say_begin(trial.number, values, done, self.plan.trials, self.budget, studies.best_trial(self.study))
        callback = TrialCallback(
            trial, self.budget.deadline, is_first=not done, on_start=self._record_own(trial) if default else None
        )
        began = time.time()
        try:
            with console.only_in_log(bool(done)):
                result = fit(self.plan.settings, {**values, **self._of_trial(trial)}, [callback])
        except optuna.TrialPruned:
            self._tell(trial, None, TrialState.PRUNED, began)
        except UserError as error:
            self._tell_error(trial, error, began)
        except BaseException as error:
            self._tell(trial, None, TrialState.FAIL, began)
            if isinstance(error, KeyboardInterrupt):
                raise signals.Stop(signal.SIGINT) from None
            raise
        else:
            self._tell_result(trial, result, callback.cut, began)
        finally:
            failures.run_folder = None  # the same command goes on, not that of the trial
            signals.defer("")  # which a pruned trial leaves
            console.start_log()
            console.keep_log(self.plan.folder / LOG)
            gc.collect()
        say_end(self.study.get_trials(deepcopy=False)[trial.number], self.plan.metric)
        self._remove_checkpoints()

    def _of_trial(self, trial: Trial) -> dict[str, Any]:
        """The settings that every trial has."""
        return {
            "name": f"{self.plan.folder.relative_to(self.plan.root).as_posix()}/trial_{trial.number}",
            "trainer.default_root_dir": str(self.plan.root),
            "trainer.precision": self.study.user_attrs["precision"],
            "trainer.devices": 1,
            "report.enabled": False,
        }

    def _record_own(self, trial: Trial) -> Any:
        """Records the configuration's values as those of its trial, with the defaults that the encoder decides."""

        def record(model: EmotionClassifier) -> None:
            effective = effective_settings(model)
            for key, one in self.plan.space.items():
                value = self._own(key)
                suggest_own(trial, key, one, effective.get(key) if value is None else value)

        return record

    def _tell(self, trial: Trial, value: float | None, state: TrialState, began: float) -> None:
        trial.set_user_attr("seconds", time.time() - began)
        trial.set_user_attr(ALIVE, time.time())
        self.study.tell(trial, value, state, skip_if_finished=True)

    def _tell_result(self, trial: Trial, result: RunResult, cut: bool, began: float) -> None:
        self._errors = 0
        trial.set_user_attr(CUT, cut)
        if result.run_folder:
            trial.set_user_attr(FOLDER, result.run_folder.relative_to(self.plan.folder).as_posix())
        if result.value is None:
            self._tell_error(
                trial, UserError(f"{self.plan.metric} was not computed, because no epoch was validated"), began
            )
            return
        self._tell(trial, result.value, TrialState.COMPLETE, began)

    def _tell_error(self, trial: Trial, error: UserError, began: float) -> None:
        """Keeps a trial that cannot be trained as one of the worst; ends the sweep if no trial can.

        Raises:
            UserError: The configuration as given cannot be trained, or several trials in a row cannot.
        """
        self._errors += 1
        trial.set_user_attr(ERROR, str(error))
        if studies.is_default(trial) or self._errors == MOST_ERRORS:
            self._tell(trial, None, TrialState.FAIL, began)
            raise error
        self._tell(trial, None, TrialState.PRUNED, began)

    def _remove_checkpoints(self) -> None:
        """Removes the checkpoints of all finished trials but the best one and that of the configuration as given."""
        best = studies.best_trial(self.study)
        for trial in studies.finished(self.study):
            keep = ("best.ckpt",) if studies.is_default(trial) or (best and trial.number == best.number) else ()
            for file in self.plan.folder.glob(f"trial_{trial.number}/version_*/checkpoints/*.ckpt"):
                if file.name not in keep:
                    file.unlink(missing_ok=True)

    def _finish(self) -> SweepResult:
        plan, best = self.plan, studies.best_trial(self.study)
        if others := studies.running(self.study):
            console.say(f"{len(others)} trials still run in other processes; the last one of them ends the sweep")
            return SweepResult(plan.folder, best, None)
        if best is None:
            raise UserError("no trial is complete; give a larger --budget or more --trials")
        values = best.user_attrs["values"]
        with studies.begin_lock(plan.folder):
            done = len(studies.finished(self.study))
            config = write_best_config(plan.folder, plan.settings, values, plan.metric, float(best.value or 0), done)
            comparison = compare_on_test(self.study, plan.folder, best)
            command = command_to_train(config, plan.name, plan.own)
            page = write_sweep_page(
                plan.folder, plan.name, self.study, plan.space, best, comparison, plan.metric, command
            )
        say_result(self.study, best, comparison, plan.metric, busy_seconds(self.study.get_trials(deepcopy=False)))
        say_files(config, page, plan.folder, command)
        return SweepResult(plan.folder, best, comparison)
