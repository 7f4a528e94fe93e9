"""The spelling of labels: which differences between two names do not matter."""

import unicodedata

# Invisible characters that Python does not strip.
UNSEEN = "\u200b\ufeff\u2060"


def trimmed(name: str) -> str:
    """The name without spaces and invisible characters around it."""
    return name.strip().strip(UNSEEN).strip()


def normalize_name(name: str) -> str:
    """The name with its spelling normalized: case-folded, single spaces, accents in Unicode's NFC."""
    return " ".join(unicodedata.normalize("NFC", trimmed(name)).casefold().split())
