"""Columns of Arrow as text, value by value the same that Python's json and csv modules write."""

import re
from collections.abc import Callable
from json.encoder import encode_basestring as quoted_json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from emotion_lit.data.formats.blocks import is_json_text, to_values
from emotion_lit.data.plain_values import plain, to_json
from emotion_lit.inference.output_columns import is_predicted

# A spreadsheet runs texts as formulas that begin with one of these signs, also in full width, or with blanks before.
FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What the csv module quotes with QUOTE_MINIMAL.
_TO_QUOTE = re.compile(r'[",\r\n]')

# Between the labels of a text in a cell of CSV.
LABEL_SEPARATOR = "|"
# Long enough for the lines of a window, which may be more than 2 GiB.
LINES = pa.large_string()


def json_texts(table: pa.Table, name: str) -> pa.Array:
    """A column as JSON values; what JSON does not have, such as NaN and infinity, is null.

    Args:
        table: The table.
        name: The name of the column.

    Returns:
        Strings without nulls, ``[rows]``.
    """
    field, column = table.schema.field(name), table.column(name)
    if not is_json_text(field):
        if _is_string(field.type):
            return _mapped(column.to_pylist(), quoted_json, "null")
        if pa.types.is_integer(field.type) or pa.types.is_boolean(field.type):
            return _filled(column, "null")
        if field.type in (pa.float32(), pa.float64()):
            values = _doubles(column)
            finite = np.isfinite(values)
            return pc.if_else(pa.array(finite), _float_texts(values), pa.scalar("null", LINES))
    return _mapped(to_values(table, name), lambda value: to_json(plain(value)), "null")


def csv_texts(table: pa.Table, name: str, escape: bool) -> pa.Array:
    """A column as cells of CSV; nulls and NaN are empty, predicted labels are joined, other lists and objects are JSON.

    Args:
        table: The table.
        name: The name of the column.
        escape: Whether to put a ``'`` before texts that a spreadsheet would run as a formula.

    Returns:
        Strings without nulls, ``[rows]``.
    """
    field, column = table.schema.field(name), table.column(name)
    cell = escaped_csv_cell if escape else csv_cell
    if not is_json_text(field):
        if is_predicted(field) and pa.types.is_list(field.type):
            return _mapped(column.to_pylist(), lambda labels: cell(_joined(labels)), "")
        if _is_string(field.type):
            return _mapped(column.to_pylist(), cell, "")
        if pa.types.is_integer(field.type):
            return _filled(column, "")
        if field.type in (pa.float32(), pa.float64()):
            values = _doubles(column)
            return pc.if_else(pa.array(np.isnan(values)), pa.scalar("", LINES), _float_texts(values))
    return _mapped(to_values(table, name), lambda value: _any_cell(plain(value), cell), "")


def csv_cell(text: str) -> str:
    """A text as a CSV cell, quoted if necessary.

    Args:
        text: The text.
    """
    if not _TO_QUOTE.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def escape_formula(text: str) -> str:
    """The text with a ``'`` before it, if a spreadsheet would run it as a formula; numbers stay.

    A text that already has one before such a sign gets another one, so that removing one restores every text.

    Args:
        text: The text.
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def escaped_csv_cell(text: str) -> str:
    """A text as a CSV cell that spreadsheets do not run as a formula, see `escape_formula`.

    Args:
        text: The text.
    """
    return csv_cell(escape_formula(text))


def _any_cell(value: Any, cell: Callable[[str], str]) -> str:
    if isinstance(value, list | dict):
        return cell(to_json(value))
    if isinstance(value, str):
        return cell(value)
    return "" if value is None or value != value else str(value)


def _joined(labels: list[str]) -> str:
    """Labels in one cell; as JSON if joining them could not be undone."""
    ambiguous = any(LABEL_SEPARATOR in label or label.startswith("[") for label in labels)
    return to_json(labels) if ambiguous else LABEL_SEPARATOR.join(labels)


def _mapped(values: list[Any], to_text: Callable[[Any], str], null: str) -> pa.Array:
    return pa.array([null if value is None else to_text(value) for value in values], LINES)


def _filled(column: pa.ChunkedArray, null: str) -> pa.Array:
    return pc.fill_null(column.cast(LINES), null).combine_chunks()


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _doubles(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """The values in double precision, NaN for null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _float_texts(values: npt.NDArray[np.float64]) -> pa.Array:
    """Numbers as Python writes them. Arrow writes all the same but whole, large and very small ones, and infinity."""
    texts = pa.array(values).cast(LINES)
    size = np.abs(values)
    with np.errstate(invalid="ignore"):
        same = (size >= 1e-4) & (size < 1e10) & (values != np.floor(values))
    if same.all():
        return texts
    python = pa.array(list(map(repr, values[~same].tolist())), LINES)
    return pc.replace_with_mask(texts, pa.array(~same), python)
