"""The columns of the prediction output, built as Arrow tables from probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from emotion_lit.data.formats.blocks import is_json_text, to_values
from emotion_lit.data.plain_values import plain
from emotion_lit.data.window_batches import NO_TEXT
from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.model.decision import Decision, ranking

# More digits of a probability would be noise of the arithmetic.
DIGITS = 6
UNCERTAIN = "uncertain"
NOT_FINITE = "no label: the probabilities are not finite numbers"

ID, TEXT, NOTE = "id", "text", "note"
# Marks the columns that come from the model, as opposed to those of the input.
PREDICTED = {b"emotion_lit": b"predicted"}


@dataclass(frozen=True)
class TableBuilder:
    """Builds tables of predictions, all with the same columns.

    The columns are `id`, `text`, `label`, `score`, then `label_2`, `score_2` and so on up to ``top_k``, `labels` with a
    multi-label model, a probability `p_<label>` for each class, the columns that are kept of the input, and `note`.

    Args:
        decision: How probabilities become labels.
        top_k: The number of most probable classes that get columns.
        threshold: A probability below which the label is `uncertain`.
        probabilities: Whether each class gets a column.
        kept: The columns of the input that are kept.

    Raises:
        UserError: A column that is kept has the name of another column.
    """

    decision: Decision
    top_k: int = 1
    threshold: float = 0.0
    probabilities: bool = True
    kept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        taken = sorted({*self._predicted_columns(), ID, TEXT, NOTE} & set(self.kept))
        if taken:
            raise UserError(f"data.keep_columns has {taken[0]}, which is a column of the predictions; leave it out")

    def build(
        self, rows: pa.Table, probabilities: npt.NDArray[np.floating[Any]], notes: Sequence[str | None] | None = None
    ) -> pa.Table:
        """The predictions for some rows.

        Args:
            rows: The columns `id`, `text` and those that are kept. Those of several types are JSON strings, see
                `emotion_lit.data.formats.blocks.is_json_text`.
            probabilities: ``[rows, classes]``; a row that is not finite gets no label.
            notes: What there is to say about each row; None for most of them.

        Returns:
            The table. Scores are in double precision, rounded to 6 digits. A row without a label has an empty `label`
            and null scores.
        """
        predicted = self.columns_of(probabilities, notes)
        note = predicted.pop(NOTE)
        fields = [
            rows.schema.field(ID),
            pa.field(TEXT, pa.string()),
            *(pa.field(name, column.type, metadata=PREDICTED) for name, column in predicted.items()),
            *(rows.schema.field(name) for name in self.kept),
            pa.field(NOTE, pa.string()),
        ]
        kept = [rows.column(name) for name in self.kept]
        arrays = [rows.column(ID), _texts(rows), *predicted.values(), *kept, note]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    @property
    def columns(self) -> list[str]:
        """The names of the columns that come from the model, and `note`."""
        return [*self._predicted_columns(), NOTE]

    def columns_of(
        self, probabilities: npt.NDArray[np.floating[Any]], notes: Sequence[str | None] | None = None
    ) -> dict[str, pa.Array]:
        """The columns that come from the model, and `note`.

        Args:
            probabilities: ``[rows, classes]``; a row that is not finite gets no label.
            notes: What there is to say about each row; None for most of them.
        """
        known = np.isfinite(probabilities).all(axis=1)
        note = pa.array(_notes(notes or [None] * len(known), known), pa.string())
        return {**self._predicted(probabilities, known), NOTE: note}

    def empty(self) -> pa.Table:
        """A table with no rows."""
        rows = pa.table({name: pa.nulls(0) for name in (ID, TEXT, *self.kept)})
        return self.build(rows, np.empty((0, len(self.decision.labels))))

    def _ranks(self) -> range:
        return range(min(self.top_k, len(self.decision.labels)))

    def _predicted_columns(self) -> list[str]:
        names = [_ranked(name, rank) for rank in self._ranks() for name in ("label", "score")]
        names += ["labels"] if self.decision.multi_label else []
        return names + ([f"p_{label}" for label in self.decision.labels] if self.probabilities else [])

    def _predicted(
        self, probabilities: npt.NDArray[np.floating[Any]], known: npt.NDArray[np.bool_]
    ) -> dict[str, pa.Array]:
        """The columns that come from the probabilities, decided before these are rounded."""
        labels = self.decision.labels
        finite = torch.from_numpy(probabilities[known])
        order = np.zeros(probabilities.shape, dtype=np.int64)
        order[known] = ranking(finite).numpy()
        rounded = round_probabilities(probabilities)
        every = np.arange(len(known))
        columns: dict[str, pa.Array] = {}
        names = pa.array([*labels, UNCERTAIN, ""], pa.string())
        for rank in self._ranks():
            place = order[:, rank]
            if rank == 0:  # the comparison with NaN is false
                uncertain = probabilities[every, place] < self.threshold
                chosen = pa.array(np.where(known, np.where(uncertain, len(labels), place), len(labels) + 1))
            else:
                chosen = pa.array(place, mask=~known)
            columns[_ranked("label", rank)] = names.take(chosen)
            columns[_ranked("score", rank)] = pa.array(rounded[every, place], pa.float64(), mask=~known)
        if self.decision.multi_label:
            predicted = np.zeros(probabilities.shape, dtype=np.bool_)
            predicted[known] = self.decision.predicted(finite).numpy()
            in_order = np.take_along_axis(predicted, order, axis=1)
            ends = np.concatenate([[0], in_order.sum(axis=1).cumsum()]).astype(np.int32)
            columns["labels"] = pa.ListArray.from_arrays(ends, names.take(pa.array(order[in_order])))
        if self.probabilities:
            for label, values in zip(labels, np.ascontiguousarray(rounded.T), strict=True):
                columns[f"p_{label}"] = pa.array(values, pa.float64(), mask=~known)
        return columns


def input_rows(window: Window, id_column: str, text_column: str, kept: Sequence[str]) -> pa.Table:
    """The columns of a window that `TableBuilder.build` takes.

    Args:
        window: The window.
        id_column: The column of row ids; if no file has it, the ids are row numbers from zero.
        text_column: The column of texts.
        kept: Other columns.
    """
    names = {ID: id_column, TEXT: text_column, **{name: name for name in kept}}
    fields, arrays = zip(*(window.column(column, name) for name, column in names.items()), strict=True)
    return pa.Table.from_arrays(list(arrays), schema=pa.schema(list(fields)))


def round_probabilities(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Probabilities to 6 digits, each exactly as Python's `round` gives it.

    Args:
        probabilities: ``[rows, classes]``, from 0 to 1 or NaN.

    Returns:
        ``[rows, classes]``, in double precision.
    """
    exact = probabilities.astype(np.float64)
    with np.errstate(invalid="ignore"):
        scaled = exact * 10**DIGITS
        rounded: npt.NDArray[np.float64] = np.rint(scaled) / 10**DIGITS
        # Scaling itself rounds, but no further than this; single precision is scaled exactly.
        ties = np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) < 1e-9)
    for place in ties.tolist():
        rounded.flat[place] = round(float(exact.flat[place]), DIGITS)
    return rounded


def is_predicted(field: pa.Field) -> bool:
    """Whether a column comes from the model.

    Args:
        field: A column of a table that `TableBuilder` built.
    """
    return (field.metadata or {}).get(b"emotion_lit") == PREDICTED[b"emotion_lit"]


def unlabeled_rows(table: pa.Table) -> npt.NDArray[np.int64]:
    """The indices of rows for which nothing is predicted, because there is no text or no finite probability.

    Args:
        table: A table that `TableBuilder` built.
    """
    return np.flatnonzero(table.column("score").is_null().to_numpy())


def _texts(rows: pa.Table) -> pa.Array | pa.ChunkedArray:
    field = rows.schema.field(TEXT)
    if field.type == pa.string() and not is_json_text(field):
        return rows.column(TEXT)
    texts = [value if isinstance(value, str | None) else str(value) for value in to_values(rows, TEXT)]
    return pa.array(plain(texts), pa.string())


def _notes(notes: Sequence[str | None], known: npt.NDArray[np.bool_]) -> list[str | None]:
    found = list(notes)
    for place in np.flatnonzero(~known).tolist():
        if found[place] != NO_TEXT:
            found[place] = "; ".join(filter(None, (found[place], NOT_FINITE)))
    return found


def _ranked(name: str, rank: int) -> str:
    return name if rank == 0 else f"{name}_{rank + 1}"
