import inspect
import typing

import lightning.pytorch as pl
import pytest
from lightning.pytorch import callbacks

from emotion_lit import EmotionClassifier
from emotion_lit.model.checkpoint import schema
from emotion_lit.model.checkpoint.type_checks import is_of
from emotion_lit.model.settings import ModelSettings
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint
from emotion_lit.training.callbacks.early_stopping import EarlyStopping
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.training.callbacks.run_report import RunReport


def defaults(*classes: type) -> dict[str, object]:
    parameters = [one for made in classes for one in inspect.signature(made).parameters.values()]
    return {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}


@pytest.mark.parametrize(
    ("types", "classes"),
    [
        (schema.BEST, (BestCheckpoint,)),
        (schema.LAST, (LastCheckpoint,)),
        (schema.REPORT, (RunReport,)),
        (schema.EARLY_STOPPING, (callbacks.EarlyStopping, EarlyStopping)),
    ],
)
def test_the_settings_of_each_callback_may_be_stored(types: schema.Types, classes: tuple[type, ...]) -> None:
    given = defaults(*classes)
    assert set(given) == set(types)
    assert all(is_of(value, types[key]) for key, value in given.items())


def test_the_trainer_has_the_settings_that_are_stored() -> None:
    given = defaults(pl.Trainer)
    assert all(is_of(given[key], kind) for key, kind in schema.TRAINER.items())
    literals = [
        value
        for kind in typing.get_args(typing.get_type_hints(pl.Trainer.__init__)["precision"])
        for value in typing.get_args(kind)
    ]
    assert literals
    assert all(is_of(value, schema.TRAINER["precision"]) for value in literals)


def test_the_model_takes_the_settings_that_are_stored() -> None:
    ours, theirs = defaults(ModelSettings), defaults(EmotionClassifier)
    assert list(ours) == list(theirs)
    assert ours == theirs
