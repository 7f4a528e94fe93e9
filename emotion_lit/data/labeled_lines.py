"""Text files with a label on each line: ``text;label``, ``label<tab>text``, ``__label__joy text``, or a table."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emotion_lit.data.columns import LABEL_NAMES, TEXT_NAMES
from emotion_lit.data.formats.csv_dialect import separator_of
from emotion_lit.data.formats.readers import Block, OnError, Reject, TableFormat, read_blocks
from emotion_lit.errors import UserError
from emotion_lit.utils.names import shown

if TYPE_CHECKING:
    import pyarrow as pa

LINE, TEXT, LABEL = "line", "text", "labels"
SEPARATORS = ("\t", ";", "|")
# The minimum share of lines with a separator; other lines cannot be read.
MIN_SEPARATED_SHARE = 0.9
# How fastText marks labels.
MARK = "__label__"
# The maximum number of characters of a label.
LONGEST_LABEL = 60
# In files with fewer lines, labels are recognized by their number of words.
FEW, LABEL_WORDS = 20, 3


@dataclass(frozen=True)
class LineForm:
    """The format of the lines of a file.

    Args:
        names: The names of the fields, in order.
        separator: The separator between fields; None for labels with fastText's prefix.
        header: Whether the first line has the names.
    """

    names: tuple[str, ...]
    separator: str | None
    header: bool = False

    @property
    def reverse(self) -> bool:
        """Whether to split at the last separator, because the text comes first and can have some too."""
        return len(self.names) == 2 and self.names[1].casefold() not in TEXT_NAMES

    def fields(self, lines: "pa.ChunkedArray") -> list["pa.ChunkedArray"]:
        """The columns of lines; null in lines with fewer fields."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.separator is None:
            marked = pc.extract_regex(lines, rf"^\s*(?P<labels>(?:{MARK}\S+\s+)+)(?P<text>.*)$")
            labels = pc.replace_substring_regex(
                pc.utf8_trim_whitespace(pc.struct_field(marked, [0])), rf"\s*{MARK}", "|"
            )
            return [pc.utf8_ltrim(labels, "|"), pc.utf8_trim_whitespace(pc.struct_field(marked, [1]))]
        parts = pc.split_pattern(lines, self.separator, max_splits=len(self.names) - 1, reverse=self.reverse)
        whole = pc.equal(pc.list_value_length(parts), len(self.names))
        parts = pc.if_else(whole, parts, pa.scalar([None] * len(self.names), parts.type))
        return [pc.utf8_trim_whitespace(pc.list_element(parts, place)) for place in range(len(self.names))]


def find_form(lines: Sequence[str], text_format: TableFormat, where: str) -> LineForm:
    """Detects the format of lines.

    Args:
        lines: The first lines that are not blank.
        text_format: The separator and the header, if they are set.
        where: The file, for messages.

    Raises:
        UserError: The lines have no labels.
    """
    if lines and all(line.lstrip().startswith(MARK) for line in lines):
        return LineForm((LABEL, TEXT), None)
    for mark in [separator_of(text_format.separator)] if text_format.separator else SEPARATORS:
        divided = [line for line in lines if mark in line]
        counts = {line.count(mark) for line in lines}
        header = [field.strip() for field in lines[0].split(mark)] if lines else []
        usual = text_format.header is None and (len(counts) == 1 or len(header) == 2) and _names_columns(header)
        if len(header) > 1 and (usual or text_format.header):
            return LineForm(tuple(header), mark, header=True)
        if mark == "\t" and len(counts) == 1 and len(header) > 2:
            raise UserError(f"{where} is a table of {len(header)} columns without a header; name the file .tsv")
        if divided and len(divided) >= MIN_SEPARATED_SHARE * len(lines):
            last, first = {line.rsplit(mark, 1)[1] for line in divided}, {line.split(mark, 1)[0] for line in divided}
            side, names = min(((last, (TEXT, LABEL)), (first, (LABEL, TEXT))), key=lambda one: len(one[0]))
            if _are_labels(side, len(lines)):
                return LineForm(names, mark)
    raise UserError(
        f"{where} has no labels: lines should be a text, one of tab, ; or |, and a label; name a table .csv or .tsv, "
        "put texts that are files into folders named by classes (joy/1.txt); predict labels texts without labels"
    )


def _are_labels(fields: Collection[str], lines: int) -> bool:
    """Whether the distinct fields of lines are labels: short and few; in a file of few lines, of few words."""
    few = len(fields) <= lines // 2 or (lines < FEW and all(len(field.split()) <= LABEL_WORDS for field in fields))
    return few and max(map(len, fields)) <= LONGEST_LABEL


def _names_columns(fields: Sequence[str]) -> bool:
    folded = {field.casefold() for field in fields}
    return bool(folded & set(TEXT_NAMES)) and len(fields) > 1 and (len(fields) > 2 or bool(folded & set(LABEL_NAMES)))


class LabeledLines:
    """Reads a text file with a label on each line.

    Args:
        path: The file.
        text_format: Its encoding and separator, if they are set.
        on_error: Called for each line that cannot be read.
    """

    def __init__(self, path: str, text_format: TableFormat, on_error: OnError) -> None:
        self._path = path
        blocks = read_blocks(path, None, replace(text_format, lines=True), on_error, LINE)
        first = next(blocks, None)
        lines = [line for line in first.values(LINE) if line.strip()] if first else []
        self.form = find_form(lines, text_format, path)
        self._blocks = itertools.chain([first] if first else [], blocks)

    def blocks(self) -> Iterator[Block]:
        """Yields the rows; a line with fewer fields is among the rejects."""
        header = self.form.header
        for block in self._blocks:
            yield self._divided(block, skip=int(header))
            header = False

    def _divided(self, block: Block, skip: int) -> Block:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        lines = block.table.column(LINE)
        fields = self.form.fields(lines)
        blank = pc.equal(pc.utf8_trim_whitespace(lines), "").to_numpy()
        short = fields[0].is_null().to_numpy()
        rows = np.flatnonzero(~short)[skip:]
        table = pa.table(fields, names=list(self.form.names)).take(rows)
        rejects = [
            Reject(block.place(row), f"no {shown(self.form.separator or MARK)!r} between text and label", None)
            for row in np.flatnonzero(short & ~blank).tolist()
        ]
        return Block(table, self.form.names, lambda row: block.place(int(rows[row])), [*block.rejects, *rejects])
