"""The files of an output's parts: its rows, its rejects, and a sidecar that says what is known of them.

The sidecar is written last. What has no sidecar, or does not agree with it, is written again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emotion_lit.data.formats.blocks import Reject
from emotion_lit.data.plain_values import plain, to_json
from emotion_lit.utils.files import atomic_path, write_text


@dataclass(frozen=True)
class Part:
    """What is known of the rows of a window.

    Args:
        rows: The number of rows.
        rejects: The number of rows that could not be read.
        unlabeled: The number of rows without a label.
        first_unlabeled: The first of these, counted from one.
        digest: A hash of the input up to the end of the window.
        sha256: The hash of the file of rows.
        rejects_sha256: The hash of the file of rejects; "" if there are none.
    """

    rows: int
    rejects: int
    unlabeled: int
    first_unlabeled: int | None
    digest: str
    sha256: str
    rejects_sha256: str


class PartFiles:
    """The files of parts in a folder, each named by the number of its window.

    Args:
        folder: The folder.
        suffix: The suffix of the files of rows.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder = folder
        self._suffix = suffix

    def rows(self, number: int) -> Path:
        """The file of rows.

        Args:
            number: The number of the window.
        """
        return self.folder / f"{number:08}{self._suffix}"

    def rejects(self, number: int) -> Path:
        """The file of rejects.

        Args:
            number: The number of the window.
        """
        return self.folder / f"{number:08}.rejects"

    def write(
        self,
        number: int,
        write_rows: Callable[[Path], None],
        rejects: Sequence[Reject],
        counts: tuple[int, int, int, int | None],
        digest: str,
        made_from: Any,
    ) -> Part:
        """Writes a part.

        Args:
            number: The number of the window.
            write_rows: Writes the rows to a file.
            rejects: The rows that cannot be read.
            counts: The first four fields of the `Part`.
            digest: A hash of the input up to the end of the window.
            made_from: What the rows were made from; with anything else, the sidecar is not valid.
        """
        with atomic_path(self.rows(number)) as path:
            write_rows(path)
            sha256 = file_sha256(path)
        if rejects:
            write_text(self.rejects(number), "".join(to_json(plain(asdict(one))) + "\n" for one in rejects))
        else:
            self.rejects(number).unlink(missing_ok=True)
        part = Part(*counts, digest, sha256, file_sha256(self.rejects(number)))
        fields = {**asdict(part), "check": _check(part, number, made_from)}
        write_text(self._sidecar(number), json.dumps(fields))
        return part

    def known(self, made_from: Any) -> dict[int, Part | None]:
        """What the sidecars say, by the number of the window; None for one that is damaged, or about something else.

        Args:
            made_from: What the rows have to be made from.
        """
        numbers = sorted(int(file.stem) for file in self.folder.glob("*.json") if file.stem.isdecimal())
        return {number: self._read(number, made_from) for number in numbers}

    def _read(self, number: int, made_from: Any) -> Part | None:
        try:
            fields = json.loads(self._sidecar(number).read_text(encoding="utf-8"))
            check = fields.pop("check")
            part = Part(**fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return part if check == _check(part, number, made_from) else None

    def is_whole(self, number: int, part: Part) -> bool:
        """Whether the files of a part are as its sidecar says.

        Args:
            number: The number of the window.
            part: What the sidecar says.
        """
        found = file_sha256(self.rows(number)), file_sha256(self.rejects(number))
        return found == (part.sha256, part.rejects_sha256)

    def forget(self, number: int) -> None:
        """Removes a sidecar, so that the part is computed again.

        Args:
            number: The number of the window.
        """
        self._sidecar(number).unlink(missing_ok=True)

    def _sidecar(self, number: int) -> Path:
        return self.folder / f"{number:08}.json"


def _check(part: Part, number: int, made_from: Any) -> str:
    return hashlib.sha256(json.dumps([[number, made_from], asdict(part)]).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of a file; empty if it is missing or unreadable.

    Args:
        path: The file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
