"""The best trial and the configuration as given, compared on the test split: once, when the sweep ends."""

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from emotion_lit.evaluation.bootstrap import Gain, Interval, macro_f1_gain, macro_f1_interval
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.evaluation.prediction_table import AFTER, PredictionTable
from emotion_lit.sweep.study import is_default
from emotion_lit.training.run import score_test_split
from emotion_lit.utils import console

EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Comparison:
    """Macro-F1 on the test split.

    Attributes:
        given: That of the configuration as given.
        best: That of the best trial.
        gain: The difference, by the paired bootstrap; None if the best trial is the configuration as given.
    """

    given: Interval
    best: Interval
    gain: Gain | None


def compare_on_test(study: optuna.Study, folder: Path, best: FrozenTrial) -> Comparison | None:
    """Scores both checkpoints, unless that was done before.

    Args:
        study: The study.
        folder: The folder of the sweep.
        best: The best trial.

    Returns:
        The comparison; None if a checkpoint is on another machine.

    Raises:
        UserError: A checkpoint or the test split cannot be read.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    given = next(trial for trial in complete if is_default(trial))
    predictions: dict[int, LabeledPredictions] = {}
    for trial in (given, best):
        if trial.number not in predictions:
            run = folder / trial.user_attrs["folder"]
            if not (run / "checkpoints" / "best.ckpt").is_file():
                console.say(
                    f"{run} has no checkpoint here: trial {trial.number} was trained on "
                    f"{trial.user_attrs['owner']['host']}; the same command there compares it on the test split"
                )
                return None
            predictions[trial.number] = _predictions(run, study.user_attrs["precision"])
    own, theirs = predictions[best.number], predictions[given.number]
    gain = None if given.number == best.number else macro_f1_gain(own, theirs)
    return Comparison(macro_f1_interval(theirs), macro_f1_interval(own), gain)


def _predictions(run: Path, precision: str) -> LabeledPredictions:
    """The predictions of the test rows by the best checkpoint of a run."""
    file = (run / EVALUATION).with_suffix(".parquet")
    if not file.is_file():
        overrides = {"evaluation.path": str(run / EVALUATION), "trainer.precision": precision, "trainer.devices": 1}
        with console.only_in_log():
            score_test_split(run / "checkpoints" / "best.ckpt", overrides)
    return PredictionTable.read(file).predictions(AFTER)
