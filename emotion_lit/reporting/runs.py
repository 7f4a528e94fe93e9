"""Finished runs, in groups that were tested on the same rows."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.evaluation.prediction_table import AFTER, PredictionTable
from emotion_lit.reporting.report_keys import Report
from emotion_lit.reporting.run_report import PREDICTIONS_FILE, read_report


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its report."""

    folder: Path
    report: Report

    @property
    def name(self) -> str:
        """Its name and version."""
        resolved = self.folder.resolve()
        return f"{resolved.parent.name}/{resolved.name}"

    @property
    def macro_f1(self) -> float:
        """Macro-F1 on the test rows."""
        return float(self.report["after"]["macro_f1"])

    @property
    def seconds(self) -> float:
        """The training time."""
        return float(self.report["training"]["train_seconds"] + self.report["training"]["encode_seconds"])

    @cached_property
    def table(self) -> PredictionTable:
        """Its test rows and their predictions."""
        return PredictionTable.read(self.folder / PREDICTIONS_FILE)

    @cached_property
    def predictions(self) -> LabeledPredictions:
        """The predictions of the fine-tuned model, with the classes in alphabetical order to compare runs."""
        return self.table.predictions(AFTER).with_classes(_alphabetical(self.table.labels))

    @cached_property
    def task(self) -> str:
        """A hash of the test rows, their targets, the classes, and whether a row may have several."""
        truth = self.predictions.truth
        about = [sorted(self.table.labels), self.table.multi_label, list(self.table.texts), truth.nonzero()[1].tolist()]
        about.append(truth.sum(axis=1).tolist())
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _alphabetical(labels: Sequence[str]) -> list[int]:
    return sorted(range(len(labels)), key=lambda index: labels[index])


def by_task(folders: Sequence[Path]) -> list[list[Run]]:
    """Groups runs that were tested on the same rows, each group with the best run first.

    Args:
        folders: The run folders.

    Returns:
        The groups, the largest first.

    Raises:
        UserError: One of them has no complete report.
    """
    groups: dict[str, list[Run]] = {}
    for folder in folders:
        run = Run(folder, read_report(folder))
        groups.setdefault(run.task, []).append(run)
    ranked = [sorted(group, key=lambda run: -run.macro_f1) for group in groups.values()]
    return sorted(ranked, key=len, reverse=True)
