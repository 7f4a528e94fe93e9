"""Values of any column as JSON and CSV can hold them."""

import base64
import datetime
import json
import math
from decimal import Decimal
from typing import Any

from emotion_lit.data.texts import mended


def plain(value: Any) -> Any:
    """The same as text, number, truth value, null, or lists and objects of these.

    Times are ISO 8601, durations seconds, decimals their digits, bytes base64; half of a surrogate pair, which JSON may
    hold, is replaced.

    Args:
        value: A value of a row, or a whole row.
    """
    if isinstance(value, str):
        return mended(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {mended(key) if isinstance(key, str) else str(key): plain(one) for key, one in value.items()}
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
    return mended(str(value))


def to_json(value: Any) -> str:
    """JSON, which has no NaN and no infinity; they are null.

    Args:
        value: Plain values.
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
