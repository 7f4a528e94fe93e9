"""What is known of a part of an output, in a small file beside it, which is written when the part has its name."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emotion_lit.utils.files import write_text


@dataclass(frozen=True)
class Part:
    """The rows of a window.

    Args:
        rows: How many.
        rejects: Rows that could not be read.
        unlabelled: Rows without a label.
        first_unlabelled: The first of these, counted from one.
        digest: A hash of the input up to the end of the window.
        sha256: The hash of the file.
        rejects_sha256: That of its rejects; "" where there are none.
    """

    rows: int
    rejects: int
    unlabelled: int
    first_unlabelled: int | None
    digest: str
    sha256: str
    rejects_sha256: str


def write(path: Path, part: Part, bound_to: Any) -> None:
    """Writes what is known of a part.

    Args:
        path: The file.
        part: What is known.
        bound_to: What else it is about, as JSON takes it: nothing else will take the file for its own.
    """
    write_text(path, json.dumps({**asdict(part), "check": _check(part, bound_to)}))


def read(path: Path, bound_to: Any) -> Part | None:
    """What is known of a part; None where the file is missing, damaged, or about something else.

    Args:
        path: The file.
        bound_to: What else it has to be about.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        check = fields.pop("check")
        part = Part(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return part if check == _check(part, bound_to) else None


def _check(part: Part, bound_to: Any) -> str:
    return hashlib.sha256(json.dumps([bound_to, asdict(part)]).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The hash of a file; "" where it is missing or cannot be read.

    Args:
        path: The file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
