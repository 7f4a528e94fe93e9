"""The rows of predictions: what each column holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from emotion_lit.data.streaming import NO_TEXT
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.inference.plain_values import plain
from emotion_lit.inference.writers import SCORE, SEVERAL, TEXT, Columns, Row
from emotion_lit.model.decision import ranking
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier

# Beyond this, digits of a probability are noise of the arithmetic.
DIGITS = 6
UNCERTAIN = "uncertain"
NOT_FINITE = "no label: the probabilities are not finite numbers"


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
        taken = sorted({*columns, "note"} & set(self.data.settings.keep_columns))
        if taken:
            raise UserError(f"data.keep_columns has {taken[0]}, which is a column of the predictions; leave it out")
        return {**columns, **dict.fromkeys(self.data.settings.keep_columns), "note": TEXT}

    def rows(self, window: Window, found: Sequence[npt.NDArray[np.float64] | None]) -> list[Row]:
        """The rows of a window.

        Args:
            window: The window.
            found: The probabilities of each text; None where there is no text.
        """
        data = self.data
        ids, texts = window.values(data.settings.id_column), window.values(data.stream.text_key)
        kept = [window.values(column) for column in data.settings.keep_columns]
        rows = []
        for place, (note, labels) in enumerate(zip(window.notes, self._labels(found), strict=True)):
            made = {"id": ids[place], "text": _text(texts[place]), **labels}
            made |= {column: values[place] for column, values in zip(data.settings.keep_columns, kept, strict=True)}
            notes = [note, NOT_FINITE if is_unlabelled(labels) and note != NO_TEXT else ""]
            rows.append(plain({**made, "note": "; ".join(filter(None, notes)) or None}))
        return rows

    def kept(self, window: Window) -> dict[str, pa.ChunkedArray]:
        """The columns of the input as they came, where they have one type.

        Args:
            window: The window.
        """
        found = {column: window.array(column) for column in self.data.settings.keep_columns}
        return {column: array for column, array in found.items() if array is not None}

    def _labels(self, found: Sequence[npt.NDArray[np.float64] | None]) -> list[Row]:
        """The columns that come from the model; empty for a row without a text, or without finite probabilities."""
        rows = [self._nothing() for _ in found]
        places = [place for place, scores in enumerate(found) if scores is not None and np.isfinite(scores).all()]
        if not places:
            return rows
        probabilities = torch.from_numpy(np.stack([found[place] for place in places]))  # type: ignore[misc]
        parts = (probabilities, self.model.decide(probabilities), ranking(probabilities))
        for place, *decided in zip(places, *(part.tolist() for part in parts), strict=True):
            rows[place] = self._of(*decided)
        return rows

    def _of(self, scores: list[float], chosen: list[bool], order: list[int]) -> Row:
        """The columns of a text: what is decided is decided before scores are rounded."""
        labels, row = self.model.labels, Row()
        for rank, place in zip(self.ranks, order, strict=False):
            row |= {_named("label", rank): labels[place], _named("score", rank): round(scores[place], DIGITS)}
        if scores[order[0]] < self.threshold:
            row["label"] = UNCERTAIN
        if self.model.multi_label:
            row["labels"] = [labels[place] for place in order if chosen[place]]
        if self.probabilities:
            row |= {f"p_{label}": round(score, DIGITS) for label, score in zip(labels, scores, strict=True)}
        return row

    def _nothing(self) -> Row:
        row: Row = {name: None for rank in self.ranks for name in (_named("label", rank), _named("score", rank))}
        row["label"] = ""
        row |= {"labels": []} if self.model.multi_label else {}
        return row | ({f"p_{label}": None for label in self.model.labels} if self.probabilities else {})


def is_unlabelled(row: Row) -> bool:
    """Whether nothing is predicted for a row, because there is nothing to predict from.

    Args:
        row: As `RowMaker` makes it.
    """
    return row["score"] is None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else str(value)


def _named(name: str, rank: int) -> str:
    return name if rank == 1 else f"{name}_{rank}"
