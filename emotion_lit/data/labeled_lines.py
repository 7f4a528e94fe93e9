"""Lines of plain text that carry a label: ``text;label``, ``label<tab>text``, ``__label__joy text``, or a table."""

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
# The share of the lines that has to have one; the others cannot be read.
MOST_LINES = 0.9
# How fastText marks labels.
MARK = "__label__"
# A longer field is a text.
LONGEST_LABEL = 60
# In files of fewer lines than these, a label is told by its words.
FEW, LABEL_WORDS = 20, 3


@dataclass(frozen=True)
class LineForm:
    """How the lines of a file are divided.

    Args:
        names: The names of the fields, in order.
        separator: What stands between them; None for marked labels.
        heading: Whether the first line names them.
    """

    names: tuple[str, ...]
    separator: str | None
    heading: bool = False

    @property
    def reverse(self) -> bool:
        """Whether the last separator counts, as the text may have some too."""
        return len(self.names) == 2 and self.names[1].casefold() not in TEXT_NAMES

    def fields(self, lines: "pa.ChunkedArray") -> list["pa.ChunkedArray"]:
        """The fields of lines, null where there are fewer.

        Args:
            lines: The lines.
        """
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
    """Finds out how lines are divided.

    Args:
        lines: Some of them, none blank.
        text_format: What stands between two fields, and whether the first line names them, where that is set.
        where: The file, for messages.

    Raises:
        UserError: They carry no labels.
    """
    if lines and all(line.lstrip().startswith(MARK) for line in lines):
        return LineForm((LABEL, TEXT), None)
    for mark in [separator_of(text_format.separator)] if text_format.separator else SEPARATORS:
        divided = [line for line in lines if mark in line]
        counts = {line.count(mark) for line in lines}
        heading = [field.strip() for field in lines[0].split(mark)] if lines else []
        usual = text_format.header is None and (len(counts) == 1 or len(heading) == 2) and _names_columns(heading)
        if len(heading) > 1 and (usual or text_format.header):
            return LineForm(tuple(heading), mark, heading=True)
        if mark == "\t" and len(counts) == 1 and len(heading) > 2:
            raise UserError(f"{where} is a table of {len(heading)} columns without their names; name the file .tsv")
        if divided and len(divided) >= MOST_LINES * len(lines):
            last, first = {line.rsplit(mark, 1)[1] for line in divided}, {line.split(mark, 1)[0] for line in divided}
            side, names = min(((last, (TEXT, LABEL)), (first, (LABEL, TEXT))), key=lambda one: len(one[0]))
            if _are_labels(side, len(lines)):
                return LineForm(names, mark)
    raise UserError(
        f"{where} has no labels: no line is a text, one of tab, ; and |, and a label; a table needs the ending .csv or "
        ".tsv, texts that are files lie in folders of classes (joy/1.txt), and predict takes texts without labels"
    )


def _are_labels(fields: Collection[str], lines: int) -> bool:
    """Whether the distinct fields of lines are labels: short, and few of them, which nobody can say of a few lines."""
    few = len(fields) <= lines // 2 or (lines < FEW and all(len(field.split()) <= LABEL_WORDS for field in fields))
    return few and max(map(len, fields)) <= LONGEST_LABEL


def _names_columns(fields: Sequence[str]) -> bool:
    folded = {field.casefold() for field in fields}
    return bool(folded & set(TEXT_NAMES)) and len(fields) > 1 and (len(fields) > 2 or bool(folded & set(LABEL_NAMES)))


class LabelLines:
    """The rows of a file of such lines.

    Args:
        path: The file.
        text_format: Its encoding and its separator, where they are set.
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
        """The rows with their fields as columns; a line with fewer fields is among the rejects."""
        heading = self.form.heading
        for block in self._blocks:
            yield self._divided(block, skip=int(heading))
            heading = False

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
