"""Masks tokens and passwords in all output."""

import os
import re

# Tokens of the Hugging Face Hub, and user names and passwords in addresses.
SECRET = re.compile(r"\bhf_[A-Za-z0-9]{20,}|(?<=://)[^\s/@'\"]+(?=@)")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
MASK = "***"


def redact(text: str) -> str:
    """Replaces tokens and passwords in a text by `***`.

    Args:
        text: The text.
    """
    for name in VARIABLES:
        if token := os.environ.get(name, "").strip():
            text = text.replace(token, MASK)
    return SECRET.sub(MASK, text)
