"""Writes the report at the end of `fit`."""

from pathlib import Path

import lightning.pytorch as pl

from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.utils import distributed, nonfatal


class RunReport(pl.Callback):
    """Scores the best checkpoint on the test split, compares it with baselines, and writes the report.

    Args:
        baselines: Fit the TF-IDF baseline, and look for test texts that also occur in train. Both depend on the data
            alone and are cached. False leaves them out of the report.
        enabled: Score the test split before and after training, and write the report and its figures. False, as in the
            trials of a sweep, does not look at the test split; `test` can score the checkpoint later.
    """

    def __init__(self, baselines: bool = True, enabled: bool = True) -> None:
        self.baselines = baselines
        self.enabled = enabled

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the report, and prints the scores and what to type next."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        folder = Path(trainer.log_dir or ".")  # asks all processes
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with nonfatal.suppress("the report" if self.enabled else "the calibration"):
            # Imported here, because `predict` has this callback too and needs none of it.
            from emotion_lit.training.final_evaluation import FinalEvaluation

            evaluation = FinalEvaluation(self, trainer, model, data)
            if self.enabled:
                evaluation.write_report(folder, self.baselines)
            else:
                evaluation.calibrate_best()
        nonfatal.summarize()
        distributed.barrier()  # srun may end a job some time after its first task has ended
