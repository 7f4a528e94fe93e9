"""Lists of labels in a text, as JSON, Python, pandas and numpy write them."""

import ast
import json
import re
import warnings
from typing import Any

# The maximum number of characters of a list of labels.
LONGEST = 100_000
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
NUMBER = r"[-+]?[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?|[-+]?\.[0-9]+|nan|None|True|False"
# Values without commas between them: ['joy' 'fear'], [0 3], [1. 0.].
NUMPY = re.compile(rf"\[\s*(?:(?:{QUOTED}|{NUMBER})(?:\s+|(?=\s*\])))*\s*\]")
# Names without quotation marks: [joy, very sad].
BARE = re.compile(r"\[[^\[\]{}'\"]+\]")
ITEM = re.compile(rf"{QUOTED}|{NUMBER}")
ARRAY = re.compile(r"array\((.*?)(?:,\s*dtype=[^)]*)?\)", re.DOTALL)


def list_in_text(text: str) -> Any | None:
    """The list, tuple, set or dict in a text without spaces around it; None if there is none."""
    if len(text) > LONGEST or text[-1:] not in ("]", "}", ")"):
        return None
    array = ARRAY.fullmatch(text)
    text = array.group(1).strip() if array else text
    found = _json(text)
    if found is None and NUMPY.fullmatch(text):
        found = [_literal(item) for item in ITEM.findall(text)]
    if found is None:
        found = _literal(re.sub(r"\bnan\b(?=\s*[,\]])", "None", text))
    if found is None and BARE.fullmatch(text) and "..." not in text:
        names = [name.strip() for name in text[1:-1].split(",")]
        found = names if len(names) > 1 or not any(map(str.isspace, names[0])) else None
    return found if isinstance(found, list | tuple | set | dict) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes that Python does not know
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
