"""Where labelled rows come from: a Hub id, a folder in Hub layout, a file, or the bundled sample."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from emotion_lit import caches, hub
from emotion_lit.data.labels import LabelColumn, Labels, LabelSet, encode, typed
from emotion_lit.data.records import (
    COMPRESSIONS,
    SUFFIXES,
    Record,
    column_names,
    is_inside,
    kind,
    read_records,
    record_files,
)
from emotion_lit.errors import UserError, unknown

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
    dataset: str, text_column: str, label_column: str, label_names: Sequence[str] | None, multi_label: bool
) -> tuple[LabelSet, dict[str, Rows]]:
    """Reads a labelled data set.

    Args:
        dataset: A Hub id, a folder in Hub layout, a ``.parquet``, ``.jsonl`` or ``.csv`` file, or ``sample``.
        text_column: The column of texts.
        label_column: The column of labels; names in a column ``<label_column>_str`` are checked against it.
        label_names: The classes in the order of their ids, where the data does not say.
        multi_label: Whether a row may have no class.

    Returns:
        The classes, and the rows by split. A file comes as one split, ``train``.

    Raises:
        UserError: The data set, a column or a row cannot be read.
    """
    path = sample_file("").parent if dataset == SAMPLE else Path(dataset)
    names: Sequence[str] | None = None
    needed = (text_column, label_column, f"{label_column}_str", SOURCE_COLUMN)
    if path.is_dir():
        _check_links(path)
        splits, names = _load(str(path), f"the folder {dataset}", label_column, needed)
    elif kind(path) in SUFFIXES or path.is_file():
        columns = _read_file(path, needed)
        if kind(path) == ".csv" and label_column in columns:
            columns[label_column] = list(typed(columns[label_column]))
        splits = {"train": columns}
    elif dataset.count("/") == 1 and not dataset.startswith((".", "/", "~")):
        hub.reachable()
        splits, names = _load(dataset, f"the data set {dataset}", label_column, needed)
    else:
        raise UserError(
            f"there is no data set {dataset}: neither a folder, nor a file, nor a Hub id (owner/name); "
            "mend data.dataset"
        )
    for split, columns in splits.items():
        _check_columns(columns, text_column, label_column, f"{dataset}, {split}")
    label_columns = [
        LabelColumn(columns[label_column], columns.get(f"{label_column}_str"), f"{dataset}, {split}")
        for split, columns in splits.items()
    ]
    label_set, encoded = encode(label_columns, label_names or names, allow_none=multi_label)
    rows = {}
    for (split, columns), labels in zip(splits.items(), encoded, strict=True):
        sources = [str(source) for source in columns.get(SOURCE_COLUMN, [""] * len(labels))]
        rows[split] = Rows(columns[text_column], labels, sources)
    return label_set, rows


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


def _check_columns(columns: Columns, text_column: str, label_column: str, where: str) -> None:
    for key, column in (("text", text_column), ("label", label_column)):
        if column not in columns:
            raise UserError(f"{where}: {unknown('column', column, columns)} Name it with data.{key}_column.")
    bad = [row for row, text in enumerate(columns[text_column], 1) if not isinstance(text, str) or not text.strip()]
    if bad:
        raise UserError(
            f"{where}: {len(bad):,} texts in the column {text_column!r} are null, empty or not a string, the first in "
            f"row {bad[0]}; remove these rows"
        )


def _read_file(path: Path, columns: Sequence[str]) -> Columns:
    """The needed columns of a file; of the others the names."""
    if kind(path) == ".txt":
        raise UserError(f"{path} has no labels; a labelled data set is a .parquet, .jsonl or .csv file")
    names: dict[str, None] = dict.fromkeys(column_names(str(path)))
    records: list[Record] = []
    size = 0
    for _, record in read_records(str(path), columns=columns):
        names |= dict.fromkeys(record)
        records.append({key: record[key] for key in columns if key in record})
        size += ROW_BYTES + sum(len(value) for value in records[-1].values() if isinstance(value, str))
        _check_size(size, str(path))
    if not records:
        raise UserError(f"{path} has no rows")
    return {key: [record.get(key) for record in records] if key in columns else [] for key in names}


def _check_size(size: int, what: str) -> None:
    """Labelled rows are in memory as a whole; a small file may unpack to any number of them."""
    most = psutil.virtual_memory().total // MEMORY_SHARE
    if size > most:
        raise UserError(
            f"{what} has more labelled rows than half of the memory holds ({most / 2**30:,.1f} GiB); take a part of it"
        )


def _load(
    name: str, what: str, label_column: str, needed: Sequence[str]
) -> tuple[dict[str, Columns], Sequence[str] | None]:
    from datasets import load_dataset

    local = Path(name).is_dir()
    with _clear_errors(name, what), _quiet_progress():
        # Streamed, a folder is read where it is, without a copy and a lock in the cache of `datasets`.
        kept = str(caches.temporary_dir()) if local else None
        loaded = load_dataset(name, streaming=local, cache_dir=kept)
        splits = {
            split: _columns(loaded[split], needed) if local else loaded[split][:] for split in SPLITS if split in loaded
        }
    if not splits:
        raise UserError(f"{what} has none of the splits {', '.join(SPLITS)}; it has {', '.join(map(str, loaded))}")
    features = next(iter(loaded.values())).features or {}
    feature = features.get(label_column)
    return splits, getattr(getattr(feature, "feature", feature), "names", None)  # a ClassLabel, or a list of them


def _check_links(folder: Path) -> None:
    link = next((file for file in folder.rglob("*") if file.is_symlink() and not is_inside(file, folder)), None)
    if link is not None:
        raise UserError(f"{link} is a link that leads out of {folder}; remove it, or put the file itself there")


def _columns(stream: Any, needed: Sequence[str]) -> Columns:
    """The needed columns of a split; of the others the names."""
    parts: list[Columns] = []
    names: dict[str, None] = {}
    size = 0
    for table in stream.with_format("arrow").iter(batch_size=READ_ROWS):
        names |= dict.fromkeys(table.column_names)
        kept = table.select([name for name in table.column_names if name in needed])
        parts.append(kept.to_pydict())
        size += ROW_BYTES * len(kept) + kept.nbytes
        _check_size(size, "the data set")
    there = {name for part in parts for name in part}
    return {
        name: [value for part in parts for value in part.get(name) or [None] * len(next(iter(part.values())))]
        if name in there
        else []
        for name in names
    }


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
