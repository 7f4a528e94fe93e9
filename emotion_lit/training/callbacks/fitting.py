"""The callbacks of `fit` that have no settings; in a module of their own, because matplotlib is slow to import."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor

from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning
from emotion_lit.training.callbacks.feature_cache import FrozenFeatures
from emotion_lit.training.callbacks.finite import FiniteLoss
from emotion_lit.training.callbacks.memory_trim import MemoryTrim
from emotion_lit.training.callbacks.out_of_memory import OutOfMemoryAdvice
from emotion_lit.training.callbacks.resumption import Resumption
from emotion_lit.training.callbacks.run_summary import RunSummary
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.callbacks.time_estimate import TimeEstimate
from emotion_lit.training.callbacks.validation_figures import ValidationFigures


def fit_callbacks() -> list[pl.Callback]:
    """The callbacks of `fit` in the order in which they run."""
    estimate = TimeEstimate()
    throughput = Throughput(estimate)
    return [
        Resumption(),
        RunSummary(),
        FiniteLoss(),
        FrozenFeatures(throughput),
        BeforeFineTuning(),
        estimate,
        throughput,
        MemoryTrim(),
        LearningRateMonitor("step"),
        ValidationFigures(),
        OutOfMemoryAdvice(),
    ]
