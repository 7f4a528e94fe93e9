"""Runs that have come to their report, and which of them were tested on the same."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emotion_lit.evaluation.prediction_table import AFTER, Evidence
from emotion_lit.evaluation.predictions import Outputs
from emotion_lit.reporting.run_report import EVIDENCE, Report, read_report


@dataclass(frozen=True)
class Run:
    """A run that has come to its report.

    Args:
        folder: Its folder.
        report: Its report.
    """

    folder: Path
    report: Report

    @property
    def name(self) -> str:
        """Its name and version."""
        resolved = self.folder.resolve()
        return f"{resolved.parent.name}/{resolved.name}"

    @property
    def macro_f1(self) -> float:
        """Its score on the test rows."""
        return float(self.report["after"]["macro_f1"])

    @property
    def seconds(self) -> float:
        """What training took."""
        return float(self.report["training"]["train_seconds"] + self.report["training"]["encode_seconds"])

    @cached_property
    def evidence(self) -> Evidence:
        """Its test rows and predictions."""
        return Evidence.read(self.folder / EVIDENCE)

    @cached_property
    def outputs(self) -> Outputs:
        """What it predicts, with the classes in alphabetical order, so that runs compare."""
        return self.evidence.outputs(AFTER).with_classes(_alphabetical(self.evidence.labels))

    @cached_property
    def task(self) -> str:
        """A hash of the test rows, of what is true of them, of the classes, and of whether a row may have several."""
        rows = self.evidence
        about = [sorted(rows.labels), rows.multi_label, list(rows.texts), self.outputs.truth.nonzero()[1].tolist()]
        about.append(self.outputs.truth.sum(axis=1).tolist())
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _alphabetical(labels: Sequence[str]) -> list[int]:
    return sorted(range(len(labels)), key=lambda place: labels[place])


def by_task(folders: Sequence[Path]) -> list[list[Run]]:
    """Runs in groups that were tested on the same rows with the same truth and metric, each with the best first.

    Args:
        folders: The run folders.

    Returns:
        The groups, the largest first.

    Raises:
        UserError: One of them has no whole report.
    """
    groups: dict[str, list[Run]] = {}
    for folder in folders:
        run = Run(folder, read_report(folder))
        groups.setdefault(run.task, []).append(run)
    ranked = [sorted(group, key=lambda run: -run.macro_f1) for group in groups.values()]
    return sorted(ranked, key=len, reverse=True)
