"""What a text is, for everything that labels texts."""

from typing import Any

# No tokenizer needs more of a text for one token, and the rest of a very long text costs time alone.
CHARACTERS_PER_TOKEN = 1024
# The nulls of pandas, which need not be installed.
NULLS = {"NAType", "NaTType"}


def is_text(value: Any) -> bool:
    """Whether there is something to read.

    Args:
        value: A string that is more than blanks; anything else is not.
    """
    return isinstance(value, str) and bool(value.strip())


def is_null(value: Any) -> bool:
    """Whether a value is missing: None, NaN, or a null of pandas.

    Args:
        value: The value.
    """
    return value is None or type(value).__name__ in NULLS or (isinstance(value, float) and value != value)


def mended(text: str) -> str:
    """The text as it can be written: half of a surrogate pair, which JSON may hold, is replaced.

    Args:
        text: The text.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str, max_length: int) -> str:
    """The part of a text that so many tokens can be of.

    Args:
        text: The text.
        max_length: Where texts are cut, in tokens.
    """
    return text[: CHARACTERS_PER_TOKEN * max_length]
