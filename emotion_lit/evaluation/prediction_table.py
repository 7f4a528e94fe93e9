"""The test rows with the predictions of each model, kept as Parquet so that a report can be computed again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotion_lit.errors import UserError
from emotion_lit.evaluation.calibration import scale_by_temperature
from emotion_lit.evaluation.labeled_predictions import Floats, Ints, LabeledPredictions
from emotion_lit.model.decision import DEFAULT_THRESHOLD
from emotion_lit.utils.commands import finish_advice
from emotion_lit.utils.files import atomic_path

# The names of the models in report.json and in the columns of predictions.parquet.
MAJORITY, TFIDF, BEFORE, UNCALIBRATED, AFTER = "majority", "tfidf", "before", "uncalibrated", "after"
# Those that the report compares, in this order.
MODELS = (MAJORITY, TFIDF, BEFORE, AFTER)
METADATA = b"emotion_lit"


@dataclass(frozen=True)
class PredictionTable:
    """The rows of a split, and the probabilities that each model predicts for them.

    Attributes:
        texts: The text of each row.
        sources: The source of each row.
        overlaps: Whether each text also occurs in train: ``same``, ``nearly`` or empty; None if not looked for.
        labels: The names of the classes.
        multi_label: Whether a row may have several classes.
        thresholds: The decision threshold of each class, for the fine-tuned model.
        first: The index of each row's first class, ``[rows]``; -1 if it has none.
        targets: ``[rows, classes]``.
        probabilities: By the name of the model, ``[rows, classes]`` each.
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

    @classmethod
    def from_predictions(
        cls,
        predictions: LabeledPredictions,
        texts: Sequence[str],
        sources: Sequence[str],
        labels: Sequence[str],
        temperature: float,
        others: dict[str, Floats] | None = None,
        overlaps: Sequence[str] | None = None,
    ) -> "PredictionTable":
        """Puts the predictions of a model into a table, calibrated and uncalibrated.

        Args:
            predictions: The calibrated predictions.
            texts: The text of each row.
            sources: The source of each row.
            labels: The names of the classes.
            temperature: The calibration temperature.
            others: The probabilities of other models by their names, ``[rows, classes]`` each.
            overlaps: Whether each text also occurs in train, if that was looked for.
        """
        calibrated = predictions.probabilities_or_nan
        plain = scale_by_temperature(calibrated, 1 / temperature, predictions.multi_label)
        return cls(
            texts,
            sources,
            overlaps,
            labels,
            predictions.multi_label,
            predictions.thresholds.tolist(),
            predictions.first,
            predictions.targets,
            {**(others or {}), UNCALIBRATED: plain, AFTER: calibrated},
        )

    def predictions(self, model: str) -> LabeledPredictions:
        """The predictions of a model, given its name."""
        thresholds = self.thresholds if model == AFTER else [DEFAULT_THRESHOLD] * len(self.labels)
        return LabeledPredictions.from_arrays(
            self.probabilities[model], self.targets, self.first, self.multi_label, thresholds
        )

    def save(self, file: Path) -> None:
        """Writes the rows as Parquet: ``row``, ``text``, ``source``, ``overlap``, ``label`` and columns for each class.

        Raises:
            OSError: The file cannot be written.
        """
        columns: dict[str, Any] = {
            "row": np.arange(len(self.texts)),
            "text": list(self.texts),
            "source": list(self.sources),
            "overlap": [None] * len(self.texts) if self.overlaps is None else list(self.overlaps),
            "label": [self.labels[index] if index >= 0 else None for index in self.first.tolist()],
        }
        for index, label in enumerate(self.labels):
            columns[f"target_{label}"] = self.targets[:, index].astype(np.float32)
            for model, values in self.probabilities.items():
                columns[f"{model}_{label}"] = values[:, index].astype(np.float32)
        metadata = {
            "labels": list(self.labels),
            "multi_label": self.multi_label,
            "thresholds": list(self.thresholds),
            "models": list(self.probabilities),
        }
        table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(metadata)})
        with atomic_path(file) as unfinished:
            pq.write_table(table, unfinished)

    @classmethod
    def read(cls, file: Path) -> "PredictionTable":
        """Reads what `save` wrote.

        Raises:
            UserError: The file is missing, damaged, or something else.
        """
        if not file.is_file():
            raise UserError(f"there is no {file}: the run has not been evaluated yet; {finish_advice(file.parent)}")
        try:
            table = pq.read_table(file)
            metadata = json.loads((table.schema.metadata or {})[METADATA])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise UserError(f"{file} is damaged, or was not written by `fit` or `test`; run that again") from error
        labels = metadata["labels"]
        indices = {label: index for index, label in enumerate(labels)}

        def values(prefix: str) -> Floats:
            return np.stack([table[f"{prefix}_{label}"].to_numpy() for label in labels], axis=1).astype(np.float64)

        return cls(
            table["text"].to_pylist(),
            table["source"].to_pylist(),
            None if table["overlap"].null_count else table["overlap"].to_pylist(),
            labels,
            metadata["multi_label"],
            metadata["thresholds"],
            np.array([indices.get(label, -1) for label in table["label"].to_pylist()], dtype=np.int64),
            values("target"),
            {model: values(model) for model in metadata["models"]},
        )
