"""Values of any column, as JSON and CSV can represent them."""

import base64
import datetime
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from emotion_lit.data.formats.blocks import JSON_TEXT
from emotion_lit.data.texts import replace_surrogates

if TYPE_CHECKING:
    import pyarrow as pa


def plain(value: Any) -> Any:
    """The value as a string, number, boolean or null, or as lists and dicts of these.

    Times become ISO 8601, durations seconds, decimals their digits, and bytes base64. A lone surrogate, which JSON may
    hold, is replaced.

    Args:
        value: A value of a row, or a whole row.
    """
    if isinstance(value, str):
        return replace_surrogates(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {replace_surrogates(key) if isinstance(key, str) else str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return _text(value)


def _text(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):  # a datetime, also that of pandas, is a date
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return replace_surrogates(str(value))


def to_json(value: Any) -> str:
    """JSON; NaN and infinity, which JSON does not have, become null.

    Args:
        value: A value that `plain` returned.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def json_column(name: str, values: Sequence[Any]) -> "tuple[pa.Field, pa.ChunkedArray]":
    """Values of several types as a column of JSON strings, which `to_values` of a table reads back.

    Args:
        name: The name of the column.
        values: Its values.
    """
    import pyarrow as pa

    texts = [None if value is None else json.dumps(plain(value)) for value in values]
    return pa.field(name, pa.string(), metadata=JSON_TEXT), pa.chunked_array([pa.array(texts, pa.string())])
