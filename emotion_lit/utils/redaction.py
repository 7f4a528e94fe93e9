"""Tokens and passwords, which stand in no file that a run writes."""

import os
import re

# Tokens of the Hugging Face Hub, and what an address has before its host.
SECRET = re.compile(r"\bhf_[A-Za-z0-9]{20,}|(?<=://)[^\s/@'\"]+(?=@)")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
MASK = "***"


def redact(text: str) -> str:
    """A text without what gives access to something.

    Args:
        text: What is about to be written.
    """
    for name in VARIABLES:
        if token := os.environ.get(name, "").strip():
            text = text.replace(token, MASK)
    return SECRET.sub(MASK, text)
