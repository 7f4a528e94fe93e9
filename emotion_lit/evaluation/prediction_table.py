"""What is kept of every test row, so that each figure of a report can be computed again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotion_lit.errors import UserError
from emotion_lit.evaluation.predictions import Floats, Ints, Outputs
from emotion_lit.model.decision import DEFAULT_THRESHOLD
from emotion_lit.utils.commands import how_to_end
from emotion_lit.utils.files import atomic_path

# What rungs and columns are called.
MAJORITY, TFIDF, BEFORE, UNCALIBRATED, AFTER = "majority", "tfidf", "before", "uncalibrated", "after"
RUNGS = (MAJORITY, TFIDF, BEFORE, AFTER)
METADATA = b"emotion_lit"


@dataclass(frozen=True)
class Evidence:
    """The test rows, and what each model said about them.

    Args:
        texts: The texts.
        sources: The corpus of each.
        overlaps: Whether a text also stands in train, ``same``, ``nearly`` or nothing; None where it is not known.
        labels: The names of the classes.
        multi_label: Whether a row may have several.
        thresholds: From which probability on each class is predicted.
        first: Each row's first class, ``[rows]``.
        targets: ``[rows, classes]``.
        probabilities: By model, ``[rows, classes]``.
    """

    texts: Sequence[str]
    sources: Sequence[str]
    overlaps: Sequence[str] | None
    labels: Sequence[str]
    multi_label: bool
    thresholds: Sequence[float]
    first: Ints
    targets: Floats
    probabilities: dict[str, Floats]

    def outputs(self, model: str) -> Outputs:
        """What a model said.

        Args:
            model: Its name.
        """
        thresholds = self.thresholds if model == AFTER else [DEFAULT_THRESHOLD] * len(self.labels)
        return Outputs.checked(self.probabilities[model], self.targets, self.first, self.multi_label, thresholds)

    def save(self, file: Path) -> None:
        """Writes the rows as Parquet: ``row``, ``text``, ``source``, ``overlap``, ``label`` and columns for each class.

        Args:
            file: Where to.
        """
        columns: dict[str, Any] = {
            "row": np.arange(len(self.texts)),
            "text": list(self.texts),
            "source": list(self.sources),
            "overlap": [None] * len(self.texts) if self.overlaps is None else list(self.overlaps),
            "label": [self.labels[index] if index >= 0 else None for index in self.first.tolist()],
        }
        for place, label in enumerate(self.labels):
            columns[f"target_{label}"] = self.targets[:, place].astype(np.float32)
            for model, values in self.probabilities.items():
                columns[f"{model}_{label}"] = values[:, place].astype(np.float32)
        about = {
            "labels": list(self.labels),
            "multi_label": self.multi_label,
            "thresholds": list(self.thresholds),
            "models": list(self.probabilities),
        }
        table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about)})
        with atomic_path(file) as unfinished:
            pq.write_table(table, unfinished)

    @classmethod
    def read(cls, file: Path) -> "Evidence":
        """Reads what `save` wrote.

        Args:
            file: The file.

        Raises:
            UserError: It is missing, damaged, or something else.
        """
        if not file.is_file():
            raise UserError(f"there is no {file}: the run has not come to its evaluation; {how_to_end(file.parent)}")
        try:
            table = pq.read_table(file)
            about = json.loads((table.schema.metadata or {})[METADATA])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise UserError(f"{file} is damaged, or was not written by `fit` or `test`; run that again") from error
        labels = about["labels"]
        known = {label: index for index, label in enumerate(labels)}

        def values(prefix: str) -> Floats:
            return np.stack([table[f"{prefix}_{label}"].to_numpy() for label in labels], axis=1).astype(np.float64)

        return cls(
            table["text"].to_pylist(),
            table["source"].to_pylist(),
            None if table["overlap"].null_count else table["overlap"].to_pylist(),
            labels,
            about["multi_label"],
            about["thresholds"],
            np.array([known.get(label, -1) for label in table["label"].to_pylist()], dtype=np.int64),
            values("target"),
            {model: values(model) for model in about["models"]},
        )
