"""The callbacks of `fit`, apart from the rest because what they draw with takes a second to import."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor

from emotion_lit.callbacks.baseline import Baseline
from emotion_lit.callbacks.estimate import Estimate
from emotion_lit.callbacks.finite import FiniteLoss
from emotion_lit.callbacks.freed_memory import FreedMemory
from emotion_lit.callbacks.frozen import FrozenFeatures
from emotion_lit.callbacks.header import Header
from emotion_lit.callbacks.report import Report
from emotion_lit.callbacks.resumption import Resumption
from emotion_lit.callbacks.throughput import Throughput
from emotion_lit.callbacks.validation import ValidationFigures


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
