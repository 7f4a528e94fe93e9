"""The rows of predictions: what each column holds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emotion_lit.callbacks.formats import SCORE, SEVERAL, TEXT, Columns, Row, writable
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.data.streaming import Window
from emotion_lit.errors import UserError
from emotion_lit.model.classifier import EmotionClassifier

# Beyond this, digits of a probability are noise of the arithmetic.
DIGITS = 6
UNCERTAIN = "uncertain"


class RowMaker:
    """Makes a row per text, as `PredictionWriter` says.

    Args:
        model: Whose labels they are.
        data: Where the texts come from.
        top_k: How many classes get columns.
        threshold: Below this probability the label is `uncertain`.
        probabilities: Whether each class has a column.
    """

    def __init__(
        self, model: EmotionClassifier, data: EmotionDataModule, top_k: int, threshold: float, probabilities: bool
    ) -> None:
        self.model = model
        self.data = data
        self.ranks = range(1, min(top_k, len(model.labels)) + 1)
        self.threshold = threshold
        self.probabilities = probabilities

    def columns(self) -> Columns:
        """The columns of a row, with their types.

        Raises:
            UserError: A column of the input has the name of another one.
        """
        columns = {"id": TEXT, "text": TEXT}
        for rank in self.ranks:
            columns |= {_named("label", rank): TEXT, _named("score", rank): SCORE}
        columns |= {"labels": SEVERAL} if self.model.multi_label else {}
        columns |= {f"p_{label}": SCORE for label in self.model.labels} if self.probabilities else {}
        taken = sorted({*columns, "note"} & set(self.data.keep_columns))
        if taken:
            raise UserError(f"data.keep_columns has {taken[0]}, which is a column of the predictions; leave it out")
        return {**columns, **dict.fromkeys(self.data.keep_columns), "note": TEXT}

    def rows(self, window: Window, found: Sequence[npt.NDArray[np.float64] | None]) -> list[Row]:
        """The rows of a window.

        Args:
            window: The window.
            found: The probabilities of each text; None where there is no text.
        """
        rows = []
        for row, record, note, scores in zip(window.rows, window.records, window.notes, found, strict=True):
            text = record[self.data.text_column]
            made = {"id": record.get(self.data.id_column, row)}
            made |= {"text": text if isinstance(text, str | None) else str(text)}
            made |= self._labels(scores)
            made |= {column: record[column] for column in self.data.keep_columns}
            rows.append(writable({**made, "note": note or None}))
        return rows

    def _labels(self, scores: npt.NDArray[np.float64] | None) -> Row:
        """The columns that come from the model; empty for a row without a text."""
        model = self.model
        if scores is None:
            row: Row = {name: None for rank in self.ranks for name in (_named("label", rank), _named("score", rank))}
            row["label"] = ""
            row |= {"labels": []} if model.multi_label else {}
            return row | ({f"p_{label}": None for label in model.labels} if self.probabilities else {})
        rounded = [round(float(score), DIGITS) for score in scores]
        row = {}
        for rank, place in zip(self.ranks, np.argsort(-scores, kind="stable").tolist(), strict=False):
            row |= {_named("label", rank): model.labels[place], _named("score", rank): rounded[place]}
        if row["score"] < self.threshold:
            row["label"] = UNCERTAIN
        if model.multi_label:
            row["labels"] = model.threshold_labels(rounded)
        return row | (
            {f"p_{label}": score for label, score in zip(model.labels, rounded, strict=True)}
            if self.probabilities
            else {}
        )


def _named(name: str, rank: int) -> str:
    return name if rank == 1 else f"{name}_{rank}"
