"""Rows that cannot be used: counted by reason, and then skipped, or reported as an error."""

import re
from collections.abc import Callable
from typing import Any

from emotion_lit.data.formats.blocks import Reject
from emotion_lit.data.settings import OnBadRow
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

NO_TEXT = "no text (null, blank or not a string)"
# The number of reasons that a message names.
MOST = 3
# The part of a reason that differs from row to row.
DETAILS = re.compile(r"; .*| \(.*", re.DOTALL)
VERB = re.compile(r"(is|has) ")


class SkippedRows:
    """Counts the rows of a split that cannot be used.

    Args:
        where: The split, for messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.reasons: dict[str, dict[str, Any]] = {}
        self._first = ""  # the first row that could not be read, and the reason

    def __len__(self) -> int:
        return sum(one["rows"] for one in self.reasons.values())

    def add(self, reason: str, place: str | Callable[[], str]) -> None:
        """Counts a row, by the reason why it cannot be used; its place may be a function."""
        if reason not in self.reasons:
            self.reasons[reason] = {"rows": 0, "first": place if isinstance(place, str) else place()}
        self.reasons[reason]["rows"] += 1

    def add_reject(self, reject: Reject) -> None:
        """Counts a row that could not be read, by the reason without its details."""
        self._first = self._first or f"{reject.where}{' ' if VERB.match(reject.reason) else ': '}{reject.reason}"
        self.add(DETAILS.sub("", reject.reason), reject.where)

    def report(self, on_error: OnBadRow, usable: int) -> None:
        """Tells the user how many rows are skipped, or raises an error about them.

        Args:
            on_error: ``skip`` them, or ``stop``.
            usable: The number of other rows.

        Raises:
            UserError: There are such rows, and `on_error` is ``stop``.
        """
        if not self.reasons:
            return
        found = f"{self.where}: {len(self):,} of {len(self) + usable:,} rows"
        ordered = sorted(self.reasons.items(), key=lambda item: -item[1]["rows"])
        parts = [f"{reason}, the first is {one['first']}" for reason, one in ordered[:MOST]]
        if len(self.reasons) > 1:
            parts = [f"{one['rows']:,} {part}" for part, (_, one) in zip(parts, ordered, strict=False)]
            more = sum(one["rows"] for _, one in ordered[MOST:])
            parts += [f"{more:,} for other reasons"] if more else []
        if on_error == "skip":
            say(f"{found} are left out: {'; '.join(parts)}")
        elif self._first and len(self.reasons) == 1:
            raise UserError(f"{self._first} ({found} cannot be used; leave them out with --data.on_error skip)")
        else:
            raise UserError(
                f"{found} cannot be used: {'; '.join(parts)}. Correct them, or leave them out with --data.on_error skip"
            )
