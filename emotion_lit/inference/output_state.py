"""The progress of an output, saved so that a later run can resume it."""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.inference.engines import ENGINES
from emotion_lit.inference.part_files import Part
from emotion_lit.utils.console import say
from emotion_lit.utils.files import write_text

# A key of `made_from`. Another version may also hash the same input differently.
VERSION = "the version of emotion_lit"
# The fields that are saved.
SAVED = ("made_from", "engine", "joined")


@dataclass(frozen=True)
class Counts:
    """The numbers of rows in an output.

    Args:
        rows: Rows that are written.
        rejects: Rows that cannot be read.
        unlabeled: Written rows without a label.
        first_unlabeled: The first of these, counted from one; zero if there is none.
    """

    rows: int = 0
    rejects: int = 0
    unlabeled: int = 0
    first_unlabeled: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        firsts = [one for one in (self.first_unlabeled, other.first_unlabeled) if one]
        return Counts(
            self.rows + other.rows,
            self.rejects + other.rejects,
            self.unlabeled + other.unlabeled,
            min(firsts, default=0),
        )

    def report(self, output: str, rejects: str = "", of: str = "", more: str = "") -> None:
        """Prints how many rows are written, and how many have no label or could not be read.

        Args:
            output: Where the rows are.
            rejects: Where the rows that could not be read are.
            of: What the rows come from.
            more: What else there is to say.
        """
        if self.unlabeled:
            say(
                f"warning: {self.unlabeled:,} rows have no label, and their note says why; the first is row "
                f"{self.first_unlabeled}"
            )
        found = f"; they are in {rejects}" if rejects else ""
        rejected = f", {self.rejects:,} could not be read{found}" if self.rejects else ""
        say(f"{self.rows:,} rows{of} written to {output}{rejected}{more}")


@dataclass
class State:
    """The progress of an output.

    Args:
        made_from: Everything that determines its content: the model, the settings, and a hash of the input if known.
        engine: The engine that computes them.
        joined: Whether all parts have been joined to one file, which only has to be renamed.
        done: The complete parts, by window number.
        run: A unique id of this run.
    """

    made_from: dict[str, Any]
    engine: str | None = None
    joined: bool = False
    done: dict[int, Part] = field(default_factory=dict)
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def windows(self) -> int:
        """The number of windows that are done."""
        return len(self.done)

    @property
    def rows(self) -> int:
        """The number of rows in them."""
        return sum(part.rows for part in self.done.values())

    def counts(self) -> Counts:
        """The numbers of rows in all parts."""
        parts = self.done.values()
        counts = (Counts(one.rows, one.rejects, one.unlabeled, one.first_unlabeled or 0) for one in parts)
        return sum(counts, Counts())

    def save(self, file: Path) -> None:
        """Saves what a later run needs; it finds the parts by their sidecars.

        Args:
            file: The file to write.
        """
        write_text(file, json.dumps({key: getattr(self, key) for key in SAVED}))

    @classmethod
    def read(cls, file: Path) -> "State | None":
        """The state in a file; None if there is none, or one of an early release, which had no sidecars.

        Args:
            file: The file.

        Raises:
            UserError: It is damaged.
        """
        try:
            saved = json.loads(file.read_text(encoding="utf-8"))
            if set(SAVED) < set(saved):
                return None  # an early release kept totals there
            state = cls(**saved)
            if not isinstance(state.made_from, dict) or state.engine not in (None, *ENGINES):
                raise ValueError
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UserError(f"{file} is damaged; start over with --prediction.overwrite true") from error
        return state
