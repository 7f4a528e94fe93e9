"""Where labelled rows come from: a Hub id, a folder in Hub layout, a file, or the bundled sample."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from emotion_lit import caches, hub
from emotion_lit.console import say
from emotion_lit.data.annotations import text_inside
from emotion_lit.data.columns import ColumnSettings, find_columns
from emotion_lit.data.encoding import LabelColumn, encode
from emotion_lit.data.labels import Labels, LabelSet, LabelSettings
from emotion_lit.data.one_hot import one_hot_values
from emotion_lit.data.records import (
    COMPRESSIONS,
    SUFFIXES,
    is_inside,
    kind,
    read_records,
    record_files,
)
from emotion_lit.data.tables import TableFormat, column_names, read_blocks
from emotion_lit.errors import UserError

SAMPLE = "sample"
SPLITS = ("train", "validation", "test")
SOURCE_COLUMN = "source"
READ_ROWS = 10_000
# What a row takes beside its text, about, and the share of the memory that all of them may take: a half.
ROW_BYTES, MEMORY_SHARE = 500, 2


def sample_file(split: str) -> Path:
    """The file of a split of the bundled sample.

    Args:
        split: Its name.
    """
    return Path(__file__).parent / SAMPLE / f"{split}.jsonl"


@dataclass
class Rows:
    """Labelled texts.

    Args:
        texts: The texts.
        labels: The class ids of each text, the first one leading.
        sources: The corpus that each text comes from; empty strings where the data does not say.
    """

    texts: list[str]
    labels: list[Labels]
    sources: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> "Rows":
        """The rows at these places.

        Args:
            indices: The places.
        """
        return Rows(
            [self.texts[index] for index in indices],
            [self.labels[index] for index in indices],
            [self.sources[index] for index in indices],
        )


Columns = dict[str, list[Any]]


def read_dataset(
    dataset: str,
    text_column: str | None = None,
    label_column: str | None = None,
    label_names: Sequence[str] | None = None,
    multi_label: bool = False,
    label_columns: Sequence[str] = (),
    label_separator: str | None = None,
    classes: Sequence[str] = (),
    text_format: TableFormat = TableFormat(),
) -> tuple[LabelSet, dict[str, Rows]]:
    """Reads a labelled data set.

    Args:
        dataset: A Hub id, a folder in Hub layout, a ``.parquet``, ``.jsonl`` or ``.csv`` file, or ``sample``.
        text_column: The column of texts; None finds it.
        label_column: The column of labels, or None; names in a column ``<label_column>_str`` are checked against it.
        label_names: The classes in the order of their ids, where the data does not say.
        multi_label: Whether a row may have several classes, or none.
        label_columns: Columns of zeros and ones, one for each class, instead of a column of labels.
        label_separator: What stands between several labels in a text; None finds it.
        classes: The classes of a trained model.
        text_format: How a file of text is divided, where that is not to be found from it.

    Returns:
        The classes, and the rows by split. A file comes as one split, ``train``.

    Raises:
        UserError: The data set, a column or a row cannot be read.
    """
    path = sample_file("").parent if dataset == SAMPLE else Path(dataset)
    names: Sequence[str] | None = None
    wanted = ColumnSettings(text_column, label_column, label_columns)
    if path.is_dir():
        _check_links(path)
        splits, names = _load(str(path), f"the folder {dataset}", wanted)
    elif kind(path) in SUFFIXES or path.is_file():
        splits = {"train": _read_file(path, wanted, text_format)}
    elif dataset.count("/") == 1 and not dataset.startswith((".", "/", "~")):
        hub.reachable()
        splits, names = _load(dataset, f"the data set {dataset}", wanted)
    else:
        raise UserError(
            f"there is no data set {dataset}: neither a folder, nor a file, nor a Hub id (owner/name); "
            "mend data.dataset"
        )
    found, columns_of = None, []
    for split, columns in splits.items():
        found = find_columns(columns, wanted, f"{dataset}, {split}")
        columns[found.text] = list(map(text_inside, columns[found.text]))
        _check_texts(columns[found.text], f"{dataset}, {split}", found.text)
        if found.label is None:
            values = one_hot_values({name: columns[name] for name in found.one_hot}, label_names)
        else:
            values = columns[found.label]
        columns_of.append(LabelColumn(values, columns[found.beside] if found.beside else None, f"{dataset}, {split}"))
    if found is None:
        raise UserError(f"{dataset} has no rows")
    for note in found.notes:
        say(f"{dataset}: {note}")
    settings = LabelSettings(
        names=label_names or found.one_hot or None,
        stated=names,
        classes=classes,
        multi_label=multi_label,
        separator=label_separator,
        column=f"column `{found.label}`" if found.label else f"{len(found.one_hot)} columns of 0 and 1",
    )
    encoded = encode(columns_of, settings)
    rows = {}
    for (split, columns), labels in zip(splits.items(), encoded.rows, strict=True):
        sources = [str(source) for source in columns.get(SOURCE_COLUMN, [""] * len(labels))]
        rows[split] = Rows(columns[found.text], labels, sources)
    return encoded.label_set, rows


def hub_folder(path: str) -> str:
    """The folder of a data set on the Hub, fetched on first use; any other path as it is.

    Args:
        path: A Hub id, or something else that can be read.

    Raises:
        UserError: It cannot be fetched.
    """
    if Path(path).exists() or path == "-" or path.count("/") != 1 or path.startswith((".", "/", "~")):
        return path
    if kind(Path(path)) in SUFFIXES:  # a file that is missing
        return path
    from huggingface_hub import snapshot_download

    hub.reachable()
    with _clear_errors(path, f"the data set {path}"), _quiet_progress():
        patterns = [f"*{suffix}{packed}" for suffix in SUFFIXES for packed in ("", *COMPRESSIONS)]
        return str(snapshot_download(path, repo_type="dataset", allow_patterns=patterns))


def _check_texts(texts: Sequence[Any], where: str, column: str) -> None:
    bad = [row for row, text in enumerate(texts, 1) if not isinstance(text, str) or not text.strip()]
    if bad:
        raise UserError(
            f"{where}: {len(bad):,} texts in the column {column!r} are null, empty or not a string, the first in "
            f"row {bad[0]}; remove these rows"
        )


def _read_file(path: Path, wanted: ColumnSettings, text_format: TableFormat) -> Columns:
    """The needed columns of a file; of the others the names."""
    if kind(path) == ".txt" and not text_format.separator:
        raise UserError(
            f"{path} has no labels; if columns stand in its lines, set data.separator, such as tab or semicolon"
        )
    there = column_names(str(path), text_format)
    if not there:
        raise UserError(f"{path} has no rows")
    columns = (*find_columns(there, wanted, str(path)).needed, SOURCE_COLUMN)
    parts, size = [], 0
    for block in read_blocks(str(path), columns, text_format):
        parts.append({name: block.values(name) for name in block.table.column_names})
        size += ROW_BYTES * block.table.num_rows + block.table.nbytes
        _check_size(size, str(path))
    return _joined(parts, there)


def _joined(parts: Sequence[Columns], names: Iterable[str]) -> Columns:
    there = {name for part in parts for name in part}
    return {
        name: [value for part in parts for value in part.get(name) or [None] * len(next(iter(part.values())))]
        if name in there
        else []
        for name in names
    }


def _check_size(size: int, what: str) -> None:
    """Labelled rows are in memory as a whole; a small file may unpack to any number of them."""
    most = psutil.virtual_memory().total // MEMORY_SHARE
    if size > most:
        raise UserError(
            f"{what} has more labelled rows than half of the memory holds ({most / 2**30:,.1f} GiB); take a part of it"
        )


def _load(name: str, what: str, wanted: ColumnSettings) -> tuple[dict[str, Columns], Sequence[str] | None]:
    from datasets import load_dataset

    local = Path(name).is_dir()
    with _clear_errors(name, what), _quiet_progress():
        # Streamed, a folder is read where it is, without a copy and a lock in the cache of `datasets`.
        kept = str(caches.temporary_dir()) if local else None
        loaded = load_dataset(name, streaming=local, cache_dir=kept)
        splits = {
            split: _columns(loaded[split], wanted, f"{what}, {split}") if local else loaded[split][:]
            for split in SPLITS
            if split in loaded
        }
    if not splits:
        raise UserError(f"{what} has none of the splits {', '.join(SPLITS)}; it has {', '.join(map(str, loaded))}")
    features = next(iter(loaded.values())).features or {}
    feature = features.get(find_columns(next(iter(splits.values())), wanted, what).label or "")
    return splits, getattr(getattr(feature, "feature", feature), "names", None)  # a ClassLabel, or a list of them


def _check_links(folder: Path) -> None:
    link = next((file for file in folder.rglob("*") if file.is_symlink() and not is_inside(file, folder)), None)
    if link is not None:
        raise UserError(f"{link} is a link that leads out of {folder}; remove it, or put the file itself there")


def _columns(stream: Any, wanted: ColumnSettings, where: str) -> Columns:
    """The needed columns of a split; of the others the names."""
    parts: list[Columns] = []
    names: dict[str, None] = {}
    size = 0
    for table in stream.with_format("arrow").iter(batch_size=READ_ROWS):
        names |= dict.fromkeys(table.column_names)
        needed = (*find_columns(names, wanted, where).needed, SOURCE_COLUMN)
        kept = table.select([name for name in table.column_names if name in needed])
        parts.append(kept.to_pydict())
        size += ROW_BYTES * len(kept) + kept.nbytes
        _check_size(size, "the data set")
    return _joined(parts, names)


@contextmanager
def _quiet_progress() -> Iterator[None]:
    import datasets

    shown = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            datasets.utils.logging.enable_progress_bar()


@contextmanager
def _clear_errors(name: str, what: str) -> Iterator[None]:
    """Turns what the libraries raise into what a person can act on."""
    import pyarrow as pa
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except UserError:
        raise
    except (DatasetGenerationError, ValueError, OSError, TypeError, pa.ArrowException) as error:
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and cause.filename and not Path(cause.filename).is_relative_to(name):
            raise UserError(
                f"{what} cannot be kept: {cause.filename}: {cause.strerror}; set {caches.VARIABLE} to a folder that "
                "can be written"
            ) from error
        folder = Path(name)
        if folder.is_dir():
            for file in record_files(name):  # finds the row, and says which line
                for _ in read_records(file):
                    pass
            raise UserError(f"{what} cannot be read: {_first_line(error)}") from error
        if isinstance(error, DatasetNotFoundError | RepositoryNotFoundError):
            raise UserError(f"{what} was not found on the Hugging Face Hub, or is private; check the name") from error
        raise UserError(
            f"{what} cannot be fetched, the Hugging Face Hub is out of reach ({_first_line(error)}). Offline, "
            "data.dataset takes a folder, a file, or `sample`"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
