"""Reads the files of a split: texts, label values, and the place of each row."""

import bisect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from emotion_lit.data.formats.blocks import leave_out
from emotion_lit.data.formats.files import data_suffix
from emotion_lit.data.formats.readers import Block, Reject, TableFormat, column_names, read_blocks
from emotion_lit.data.labeled_lines import LabeledLines
from emotion_lit.data.labels.annotation_tools import text_inside
from emotion_lit.data.skipped_rows import NO_TEXT, SkippedRows
from emotion_lit.errors import UserError, unknown

if TYPE_CHECKING:
    import pyarrow as pa

# The approximate memory of a row besides its text, in bytes; all rows together may take half of the memory.
ROW_BYTES, MEMORY_SHARE = 500, 2
# The columns of texts in folders named by classes.
TEXT, LABEL = "text", "labels"


@dataclass
class Split:
    """The rows of a split, in the order of their files.

    Args:
        where: The split, for messages.
        columns: The values of each requested column.
        names: The classes in the order of their ids, by column, from the metadata of the files.
        skipped: The rows that could not be read, or were dropped.
    """

    where: str
    columns: dict[str, list[Any]]
    names: dict[str, list[str]]
    skipped: SkippedRows
    _starts: list[int] = field(default_factory=list)
    _places: list[Callable[[int], str]] = field(default_factory=list)
    _rows: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """The place of a row by its index, such as ``"reviews.csv, line 17"``."""
        number = row if self._rows is None else self._rows[row]
        block = bisect.bisect_right(self._starts, number) - 1
        return self._places[block](number - self._starts[block])

    def drop(self, reasons: Mapping[int, str]) -> None:
        """Drops rows and counts them.

        Args:
            reasons: The reason for each row, by its index, ascending.
        """
        for row, reason in reasons.items():
            self.skipped.add(reason, partial(self.place, row))
        if reasons:
            kept = [row for row in range(len(self)) if row not in reasons]
            self.columns = {name: [values[row] for row in kept] for name, values in self.columns.items()}
            self._rows = kept if self._rows is None else [self._rows[row] for row in kept]

    def drop_without_text(self, column: str) -> None:
        """Drops the rows whose text, in this column, is null, blank or not a string."""
        texts = self.columns[column]
        if set(map(type, texts)) != {str}:
            texts = self.columns[column] = [text_inside(text) for text in texts]
        without = [row for row, text in enumerate(texts) if not isinstance(text, str) or not text or text.isspace()]
        self.drop(dict.fromkeys(without, NO_TEXT))


class SplitReader:
    """Reads the files of a split.

    Args:
        where: The split, for messages.
        files: The files.
        classes: The class of each file that is one text.
        text_format: How text files are divided into rows and columns.
    """

    def __init__(
        self, where: str, files: Sequence[Path], classes: Mapping[Path, str], text_format: TableFormat
    ) -> None:
        self.where = where
        self._files = files
        self._classes = classes
        self._format = text_format
        self._lines: LabeledLines | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of the first file."""
        if self._classes:
            return (TEXT, LABEL)
        if data_suffix(self._files[0]) != ".txt":
            return column_names(str(self._files[0]), self._format)
        return LabeledLines(str(self._files[0]), self._format, leave_out).form.names

    def read(self, needed: Sequence[str], optional: Sequence[str] = ()) -> Split:
        """Reads columns.

        Args:
            needed: The columns that every file must have.
            optional: Columns that can be missing.

        Raises:
            UserError: A column is missing, or there are too many rows for the memory.
        """
        skipped = SkippedRows(self.where)
        split = Split(self.where, {name: [] for name in needed}, {}, skipped)
        rows, size = 0, 0
        for file, block in self._blocks([*needed, *optional]):
            for reject in block.rejects:
                skipped.add_reject(reject)
            missing = next((name for name in needed if name not in block.names), None)
            if missing is not None:
                raise UserError(f"{file}: {unknown('column', missing, block.names)}")
            _add_names(split.names, block.table.schema, file)
            there = set(block.table.column_names)
            for name in optional:
                if name in there and name not in split.columns:
                    split.columns[name] = [None] * rows
            for name, values in split.columns.items():
                values += block.values(name) if name in there else [None] * block.table.num_rows
            split._starts.append(rows)
            split._places.append(block.place)
            rows += block.table.num_rows
            size += ROW_BYTES * block.table.num_rows + block.table.nbytes
            _check_size(size, self.where)
        if not rows and not len(skipped):
            raise UserError(f"{self.where} has no rows")
        return split

    def _blocks(self, columns: Sequence[str]) -> Iterator[tuple[Path, Block]]:
        if self._classes:
            yield self._files[0], _class_block(self._files, self._classes)
            return
        for file in self._files:
            if data_suffix(file) == ".txt":
                blocks = LabeledLines(str(file), self._format, leave_out).blocks()
            else:
                blocks = read_blocks(str(file), columns, self._format, leave_out)
            for block in blocks:
                yield file, block


def _class_block(files: Sequence[Path], classes: Mapping[Path, str]) -> Block:
    """The texts of files in folders named by classes."""
    import pyarrow as pa

    kept, texts, rejects = [], [], []
    for file in files:
        try:
            texts.append(file.read_bytes().decode("utf-8-sig"))
            kept.append(file)
        except UnicodeDecodeError as error:
            rejects.append(Reject(str(file), f"byte 0x{error.object[error.start]:02x} that is not UTF-8", None))
    table = pa.table({TEXT: texts, LABEL: [classes[file] for file in kept]})
    return Block(table, (TEXT, LABEL), lambda row: str(kept[row]), rejects)


def _add_names(names: dict[str, list[str]], schema: "pa.Schema", file: Path) -> None:
    """Adds the names of classes that `datasets` writes into Parquet and Arrow files."""
    for column, found in names_in(schema).items():
        if names.setdefault(column, found) != found:
            raise UserError(
                f"{file}: its metadata has the classes of {column!r} in another order than the files before it; "
                "write them again with one order"
            )


def names_in(schema: "pa.Schema") -> dict[str, list[str]]:
    """The classes in the order of their ids, by column, from the metadata of a file's schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {column: names for column, one in features.items() if (names := _names_of(one))}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _names_of(feature: Any) -> list[str] | None:
    inner = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
    names = inner.get("names") if isinstance(inner, dict) else None
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _check_size(size: int, what: str) -> None:
    """Raises `UserError` if the rows take too much memory; a small compressed file can have any number of rows."""
    most = psutil.virtual_memory().total // MEMORY_SHARE
    if size > most:
        raise UserError(
            f"{what} has more labeled rows than fit into half of the memory ({most / 2**30:,.1f} GiB); use a part of it"
        )
