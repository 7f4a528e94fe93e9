"""Sources of labeled rows: a Hub id, a folder, a file, or the bundled sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from emotion_lit.data.columns import Columns, ColumnSettings, find_columns
from emotion_lit.data.dataset_card import CARD, Card, read_card
from emotion_lit.data.dataset_layout import Layout, find_layout, split_of
from emotion_lit.data.downloads import fetch_dataset, is_hub_id
from emotion_lit.data.formats.files import SUFFIXES, check_readable, data_suffix, is_inside, record_files
from emotion_lit.data.formats.unsupported import conversion
from emotion_lit.data.labels.encoder import LabelColumn, encode
from emotion_lit.data.labels.label_set import Labels, LabelSet, LabelSettings
from emotion_lit.data.labels.one_hot import one_hot_values
from emotion_lit.data.labels.parsing import is_missing
from emotion_lit.data.rows import Rows
from emotion_lit.data.settings import DataSettings, OnBadRow
from emotion_lit.data.split_reader import Split, SplitReader
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

SAMPLE = "sample"
SOURCE_COLUMN = "source"


def sample_file(split: str) -> Path:
    """The file of a split of the bundled sample."""
    return Path(__file__).parent / SAMPLE / f"{split}.jsonl"


def read_dataset(settings: DataSettings) -> tuple[LabelSet, dict[str, Rows]]:
    """Reads a labeled dataset.

    Args:
        settings: The dataset, its columns and labels, and the format of its files.

    Returns:
        The classes, and the rows by split. A single file is one split, ``train``.

    Raises:
        UserError: The dataset, a column or a row cannot be read.
    """
    dataset = settings.dataset
    folder, layout = _locate(dataset, settings.config, settings.revision)
    readers = {
        split: SplitReader(
            f"{dataset}, {split}" if folder.is_dir() else dataset,
            [folder / file for file in files],
            {folder / file: layout.classes[file] for file in files if file in layout.classes},
            settings.table_format,
        )
        for split, files in layout.splits.items()
    }
    leading = next(iter(readers.values()))
    chosen = ColumnSettings(settings.text_column, settings.label_column, settings.label_columns)
    columns = find_columns(leading.names, chosen, leading.where)
    for note in columns.notes:
        say(f"{leading.where}: {note}")
    splits = _read(readers, columns, settings.on_error)
    label_settings = LabelSettings(
        names=settings.labels or columns.one_hot or None,
        stated=_names_of_files(splits, columns.label or "") or layout.names.get(columns.label or ""),
        classes=settings.classes or (),
        multi_label=settings.multi_label,
        separator=settings.label_separator,
        column=f"column `{columns.label}`" if columns.label else f"{len(columns.one_hot)} columns of 0 and 1",
    )
    found = [_label_column(split, columns, settings.labels) for split in splits.values()]
    encoded = encode(found, label_settings, settings.on_error)
    rows = {
        name: _rows(split, columns, labels, unusable, settings.on_error)
        for (name, split), labels, unusable in zip(splits.items(), encoded.rows, encoded.unusable, strict=True)
    }
    return encoded.label_set, rows


def _read(readers: Mapping[str, SplitReader], columns: Columns, on_error: OnBadRow) -> dict[str, Split]:
    """Reads each split; a split without labels is left out, unless it is the first."""
    splits: dict[str, Split] = {}
    labels = [name for name in columns.needed if name not in (columns.text, columns.names_of_ids)]
    for split, reader in readers.items():
        if splits and not set(labels) <= set(reader.names):
            _print_without_labels(reader.where, split)
            continue
        read = reader.read([columns.text, *labels], [name for name in (columns.names_of_ids, SOURCE_COLUMN) if name])
        if splits and not all(map(_has_labels, (read.columns[name] for name in labels))):
            _print_without_labels(reader.where, split)
            continue
        read.drop_without_text(columns.text)
        if not len(read):
            read.skipped.report("stop", 0)
        if on_error == "stop":
            read.skipped.report(on_error, len(read))
        splits[split] = read
    return splits


def _has_labels(values: Sequence[Any]) -> bool:
    """Whether values include a label; -1 marks the hidden labels of a benchmark on the Hub."""
    return any(value not in (None, [], -1, "-1") and not is_missing(str(value).strip()) for value in values)


def _print_without_labels(where: str, split: str) -> None:
    say(f"{where}: {split} has no labels, and is not used; predict can label it")


def _label_column(split: Split, columns: Columns, label_names: Sequence[str] | None) -> LabelColumn:
    if columns.label is None:
        values = one_hot_values({name: split.columns[name] for name in columns.one_hot}, label_names)
    else:
        values = split.columns[columns.label]
    return LabelColumn(values, split.columns.get(columns.names_of_ids or ""), split.where, split.place)


def _rows(
    split: Split, columns: Columns, labels: Sequence[Labels], unusable: Mapping[int, str], on_error: OnBadRow
) -> Rows:
    """The rows of a split with valid labels."""
    split.drop(unusable)
    split.skipped.report(on_error, len(split))
    if not len(split):
        raise UserError(f"{split.where}: no row is left")
    sources = split.columns.get(SOURCE_COLUMN, [None] * len(split))
    return Rows(
        split.columns[columns.text],
        [ids for row, ids in enumerate(labels) if row not in unusable],
        ["" if source is None else str(source) for source in sources],
        split.skipped.reasons,
    )


def _names_of_files(splits: Mapping[str, Split], column: str) -> list[str] | None:
    """The classes in the metadata of the files, which have to be the same in each split."""
    found = {split.where: split.names[column] for split in splits.values() if column in split.names}
    first = next(iter(found.values()), None)
    other = next((where for where, names in found.items() if names != first), None)
    if other is not None:
        raise UserError(
            f"{other}: its metadata has the classes of {column!r} in another order than {next(iter(found))}; write one "
            "of them again, or give the names with data.labels"
        )
    return first


def _locate(dataset: str, config: str | None, revision: str | None) -> tuple[Path, Layout]:
    """The folder of a dataset, and its files by split; for a single file, the file itself."""
    path = sample_file("").parent if dataset == SAMPLE else Path(dataset)
    local = path.is_dir() or path.is_file() or data_suffix(path) in SUFFIXES
    if local and revision is not None:
        raise UserError(f"data.revision is {revision}, but {dataset} is not on the Hub; leave it out")
    if path.is_dir():
        return path, _layout_of(path, config, f"the folder {dataset}")
    if local:
        if config is not None:
            raise UserError(f"data.config is {config}, but {dataset} is one file; leave it out")
        check_readable(path)
        return path, Layout({"train": [""]})
    if not is_hub_id(dataset):
        raise UserError(
            f"there is no dataset {dataset}: neither a folder, nor a file, nor a Hub id (owner/name); correct "
            "data.dataset"
        )
    folder = fetch_dataset(dataset, config, revision)
    return folder, _layout_of(folder, config, f"the dataset {dataset}")


def _layout_of(folder: Path, config: str | None, where: str) -> Layout:
    link = next((file for file in folder.rglob("*") if file.is_symlink() and not is_inside(file, folder)), None)
    if link is not None:
        raise UserError(f"{link} is a link to a place outside of {folder}; remove it, or put the file itself there")
    unsupported = sorted(file for file in folder.rglob("*") if data_suffix(file) not in SUFFIXES and conversion(file))
    there = any(data_suffix(file) in SUFFIXES for file in folder.rglob("*"))
    for file in unsupported:
        if not there:
            check_readable(file)
        elif split := split_of(PurePosixPath(file.relative_to(folder))):
            say(f"warning: {file} is named like {split}, but is not read; {conversion(file)}")
    text = folder / CARD
    card = read_card(text.read_text("utf-8", "replace"), str(text)) if text.is_file() else Card()
    files = [Path(file).relative_to(folder).as_posix() for file in record_files(str(folder))]
    return find_layout(files, card, config, where)
