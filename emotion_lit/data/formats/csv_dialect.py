"""CSV dialects: the delimiter and the quoting of a file, set or detected from its first rows."""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from emotion_lit.data.formats.csv_header import is_named
from emotion_lit.data.formats.lines import decoded
from emotion_lit.errors import UserError

# Texts can be long; the default limit of the csv module is 128 KiB per field.
csv.field_size_limit(2**31 - 1)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}
# The number of rows in which the dialect is detected.
SAMPLE_ROWS = 500
# Repeated values mean nothing in so few rows.
FEW_ROWS = 3
# The share of the first rows that need the same number of fields.
ALIKE = 0.7

Rows = list[list[str]]


@dataclass(frozen=True)
class Dialect:
    """The format of a CSV file.

    Args:
        separator: The delimiter between fields.
        quoted: Whether fields can be quoted; otherwise quotation marks are part of the text.
        escaped: Whether a quotation mark inside a field is escaped with a backslash.
        skip_blank: Whether a space after a delimiter is skipped.
    """

    separator: str = ","
    quoted: bool = True
    escaped: bool = False
    skip_blank: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of Python's csv module."""
        return {
            "delimiter": self.separator,
            "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            "escapechar": "\\" if self.escaped else None,
            "skipinitialspace": self.skip_blank,
            "strict": True,
        }

    def __str__(self) -> str:
        found = f"fields separated by {SEPARATORS.get(self.separator, repr(self.separator))}"
        found += "" if self.quoted else ", quotation marks as part of the text"
        found += ", a backslash before quotation marks" if self.escaped else ""
        return found + (", spaces after separators skipped" if self.skip_blank else "")


def separator_of(setting: str) -> str:
    """The delimiter that a setting means: a character, or the name of one; raises `UserError` for others."""
    separator = NAMES.get(setting.lower(), setting)
    if len(separator) != 1 or separator in '"\r\n\0\ufeff':
        raise UserError(f"data.separator is {setting!r}; give one character, or one of the names {', '.join(NAMES)}")
    return separator


def find_dialect(start: bytes, suffix: str, setting: str | None, name: str) -> tuple[Dialect, Rows]:
    """Detects the dialect of a CSV file.

    Args:
        start: The first whole lines of the file.
        suffix: The suffix of the file.
        setting: The delimiter, if it is set.
        name: The name of the file, for messages.

    Returns:
        The dialect, and the first rows.

    Raises:
        UserError: Two delimiters are equally likely.
    """
    usual = "\t" if suffix == ".tsv" else ","
    lines = [decoded(line).lstrip("\ufeff") for line in start.splitlines(keepends=True)]
    separators = [separator_of(setting)] if setting else [usual, *(one for one in SEPARATORS if one != usual)]
    tried = [_quoting(Dialect(separator), lines) for separator in separators]
    if setting:
        return tried[0][:2]
    good = [one for one in tried if one[2] >= ALIKE and one[1] and _divides(one[1])]
    if not good:
        return tried[0][:2]
    good = [one for one in good if one[0].quoted] or good  # quotation marks in pairs are quoting
    named = [one for one in good if is_named(one[1][0])]
    best = named or [one for one in good if len(one[1]) > FEW_ROWS and _repeats(one[1])] or good
    most = max(share for *_, share in best)
    better = [] if named else [one for one in good if one[2] > most]  # that repeats less, but fits more rows
    best = [one for one in best if one[2] == most] + better
    if len(best) > 1 and len({tuple(map(tuple, rows)) for _, rows, _ in best}) > 1:
        raise UserError(
            f"{name} may be separated by {' or by '.join(SEPARATORS[one[0].separator] for one in best)}; set "
            "data.separator"
        )
    return best[0][:2]


def _quoting(dialect: Dialect, lines: list[str]) -> tuple[Dialect, Rows, float]:
    """The quoting with which most rows have the same width; the rows, and the share of these."""
    rows, share, merged, is_open = _parsed(dialect, lines)
    best = (dialect, rows, share)
    others = []
    if any(f'{dialect.separator} "' in line for line in lines):
        others.append(replace(dialect, skip_blank=True))
    if any('\\"' in line for line in lines):
        others.append(replace(dialect, escaped=True))
    several = any(dialect.separator in line for line in lines)
    if dialect.separator in "\t|" and several and (share < 1 or merged) and any('"' in line for line in lines):
        others.append(replace(dialect, quoted=False))
    for other in others:
        before = any(field.startswith(' "') for row in best[1] for field in row)
        rows, other_share, other_merged, other_open = _parsed(other, lines)
        # A backslash at the end of a text would hide the quotation mark that ends it.
        resolves = (merged and not other_merged and other_open <= is_open) or (other.skip_blank and before)
        if other_share > best[2] or (resolves and other_share >= max(best[2], 1 - other.skip_blank)):
            best, merged, is_open = (other, rows, other_share), other_merged, other_open
    return best


def _parsed(dialect: Dialect, lines: list[str]) -> tuple[Rows, float, bool, bool]:
    """The rows, the share of rows with the most common width, and whether a row spans lines, or the last is open."""
    reader = csv.reader(iter(lines), **dialect.options)
    rows: Rows = []
    errors = line = 0
    merged = is_open = False
    while len(rows) + errors < SAMPLE_ROWS:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            if not rows:  # a later row is not the header
                break
            is_open = reader.line_num >= len(lines)  # the last row may be incomplete
            errors += not is_open
            continue
        merged = merged or reader.line_num > line + 1
        line = reader.line_num
        if row:
            rows.append(row)
    most = Counter(map(len, rows[1:] or rows)).most_common(1)
    return rows, (most[0][1] if most else 0) / max(1, len(rows) - (len(rows) > 1) + errors), merged, is_open


def _divides(rows: Rows) -> bool:
    """Whether the rows have several columns, about as many as the first row."""
    width = Counter(map(len, rows[1:] or rows)).most_common(1)[0][0]
    return width > 1 and abs(len(rows[0]) - width) <= 1 and len(rows[0]) > 1


def _repeats(rows: Rows) -> bool:
    """Whether a column has few distinct values, like a column of labels."""
    columns = list(zip(*rows, strict=False))
    return any(len(set(values)) <= max(1, len(values) // 2) for values in columns)
