"""What counts as a text, for all inputs of prediction."""

from typing import Any

# The maximum number of characters per token; reading more of a very long text only costs time.
CHARACTERS_PER_TOKEN = 1024
# The missing values of pandas, which may not be installed.
NULLS = {"NAType", "NaTType"}


def is_text(value: Any) -> bool:
    """Whether a value is a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_null(value: Any) -> bool:
    """Whether a value is missing: None, NaN, or a missing value of pandas."""
    return value is None or type(value).__name__ in NULLS or (isinstance(value, float) and value != value)


def replace_surrogates(text: str) -> str:
    """The text with halves of surrogate pairs replaced, which JSON can have, but UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str, max_length: int) -> str:
    """The beginning of a text that is long enough for ``max_length`` tokens."""
    return text[: CHARACTERS_PER_TOKEN * max_length]
