"""Data frames of pandas, polars and Arrow: reads the column of texts, and adds columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emotion_lit.data.texts import is_null
from emotion_lit.errors import UserError, unknown

# The values of a new column: strings or lists of strings, None for null; or numbers, NaN for null.
Values = Sequence[Any] | npt.NDArray[np.float64]
KINDS = "a frame or a series of pandas or polars, or an Arrow table"


class Frame(Protocol):
    """A frame of any kind."""

    def names(self) -> list[Any]:
        """The names of its columns."""

    def values(self, column: str) -> list[Any]:
        """The values of a column."""

    def with_columns(self, columns: Mapping[str, Values]) -> Any:
        """The frame with more columns, of the same kind as before."""


def as_frame(given: Any, column: str) -> tuple[Frame, Any]:
    """A frame of any kind, and the name of its column of texts.

    Args:
        given: A frame or a series of pandas or polars, lazy ones too, or an Arrow table.
        column: The column of texts; a series has its own name.

    Raises:
        UserError: It is something else, or has no such column.
    """
    if hasattr(given, "to_frame") and not hasattr(given, "columns"):
        name = column if given.name in (None, "") else given.name
        return as_frame(given.rename(name).to_frame(), name)
    frame: Frame
    if hasattr(given, "iloc"):
        frame = _Pandas(given)
    elif hasattr(given, "with_columns"):
        frame = _Polars(given)
    elif hasattr(given, "append_column"):
        frame = _Arrow(given)
    else:
        module, kind = type(given).__module__.partition(".")[0], type(given).__name__
        name = kind if module == "builtins" else f"{module}.{kind}"
        more = "; write given.to_pandas()" if hasattr(given, "to_pandas") else ""
        raise UserError(f"frame labels {KINDS}, not {name}{more}; texts alone go into model(texts)")
    names = frame.names()
    if column not in names:
        raise unknown("column", str(column), map(str, names))
    if names.count(column) > 1:
        raise UserError(f"the frame has {names.count(column)} columns {column!r}; rename all but one of them")
    return frame, column


def texts_of(frame: Frame, column: str) -> list[str]:
    """The texts of a column; "" for null.

    Args:
        frame: The frame.
        column: The column.

    Raises:
        UserError: It has no strings.
    """
    values = frame.values(column)
    others = [value for value in values if not isinstance(value, str) and not is_null(value)]
    if others and not any(isinstance(value, str) for value in values):
        raise UserError(f"the column {column!r} has no texts, but values such as {others[0]!r}; name the one that does")
    return [value if isinstance(value, str) else "" for value in values]


def check_free(frame: Frame, columns: Sequence[str], prefix: str) -> None:
    """Checks that new columns replace none.

    Args:
        frame: The frame.
        columns: The names of the new columns.
        prefix: Their prefix.

    Raises:
        UserError: One exists already.
    """
    taken = [name for name in columns if name in frame.names()]
    if taken:
        other = "pred_" if prefix != "pred_" else "model_"
        raise UserError(
            f"the frame has a column {taken[0]!r} already, which would be overwritten; give another name to the new "
            f"ones with frame(..., prefix={other!r})"
        )


class _Pandas:
    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def names(self) -> list[Any]:
        return list(self._frame.columns)

    def values(self, column: str) -> list[Any]:
        return list(self._frame[column].tolist())

    def with_columns(self, columns: Mapping[str, Values]) -> Any:
        return self._frame.assign(**columns)


class _Polars:
    def __init__(self, frame: Any) -> None:
        self._is_lazy = hasattr(frame, "collect")
        self._frame = frame.collect() if self._is_lazy else frame

    def names(self) -> list[Any]:
        return list(self._frame.columns)

    def values(self, column: str) -> list[Any]:
        return list(self._frame[column].to_list())

    def with_columns(self, columns: Mapping[str, Values]) -> Any:
        import polars

        made = [polars.Series(name, _arrow(values)) for name, values in columns.items()]
        labeled = self._frame.with_columns(made)
        return labeled.lazy() if self._is_lazy else labeled


class _Arrow:
    def __init__(self, table: Any) -> None:
        import pyarrow as pa

        self._table = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table

    def names(self) -> list[Any]:
        return list(self._table.column_names)

    def values(self, column: str) -> list[Any]:
        return list(self._table.column(column).to_pylist())

    def with_columns(self, columns: Mapping[str, Values]) -> Any:
        table = self._table
        for name, values in columns.items():
            table = table.append_column(name, _arrow(values))
        return table


def _arrow(values: Values) -> Any:
    """A new column in Arrow; NaN becomes null."""
    import pyarrow as pa

    if isinstance(values, np.ndarray):
        return pa.array(values, pa.float64(), mask=np.isnan(values))
    lists = any(isinstance(value, list) for value in values)
    return pa.array(values, pa.list_(pa.string()) if lists else pa.string())
