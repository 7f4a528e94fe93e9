"""The callbacks of `fit`, apart from the rest because what they draw with takes a second to import."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor

from emotion_lit.training.callbacks.before_fine_tuning import Baseline
from emotion_lit.training.callbacks.feature_cache import FrozenFeatures
from emotion_lit.training.callbacks.finite import FiniteLoss
from emotion_lit.training.callbacks.memory_trim import FreedMemory
from emotion_lit.training.callbacks.resumption import Resumption
from emotion_lit.training.callbacks.run_report import Report
from emotion_lit.training.callbacks.run_summary import Header
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.callbacks.time_estimate import Estimate
from emotion_lit.training.callbacks.validation import ValidationFigures


def fit_callbacks() -> list[pl.Callback]:
    """What `fit` does beside training, in the order in which it happens."""
    baseline, estimate, validation = Baseline(), Estimate(), ValidationFigures()
    throughput = Throughput(estimate)
    return [
        Resumption(),
        Header(),
        FiniteLoss(),
        FrozenFeatures(throughput),
        baseline,
        estimate,
        throughput,
        FreedMemory(),
        LearningRateMonitor("step"),
        validation,
        Report(baseline, validation, throughput),
    ]
