"""The size of a sample: a number of rows, a share or a percentage."""

from emotion_lit.errors import UserError

Size = int | float | str | None


def parse_size(size: int | float | str, key: str) -> int | float:
    """A number of rows, or a share in (0, 1].

    Args:
        size: A whole number of rows, a share, or a percentage such as ``"2%"``.
        key: The configuration key, for messages.

    Raises:
        UserError: The size is none of these.
    """
    text = str(size).strip()
    try:
        if text.lstrip("-").isdigit():
            if int(text) < 1:
                raise UserError(f"{key}: {size!r} is not a number of rows; it should be at least 1")
            return int(text)
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise UserError(f'{key}: {size!r} is neither a number of rows, nor a share such as 0.02 or "2%"') from None
    if not 0 < share <= 1:
        raise UserError(f"{key}: {size!r} is not a share between 0 and 100%")
    return share
