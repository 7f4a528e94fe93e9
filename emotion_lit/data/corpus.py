"""The rows that a run uses: read, filtered, without duplicates, sampled."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from emotion_lit.data import data_warnings, filters
from emotion_lit.data.deduplication import deduplicate
from emotion_lit.data.label_aggregation import aggregate_labels
from emotion_lit.data.labels.label_set import LabelSet
from emotion_lit.data.rows import SPLITS, Rows
from emotion_lit.data.sampling import row_count, stratified_sample
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.sources import read_dataset
from emotion_lit.data.splits import HELD_OUT_SHARE, make_missing_splits, whole_split
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

SIZE_KEYS = {"train": "train_size", "validation": "val_size", "test": "test_size"}
# Rows that are hashed at once.
CHUNK = 4096
# Settings that the rows do not depend on.
OF_TOKENS_AND_BATCHES = (
    *("backbone", "max_length", "tokens_per_batch", "batch_size", "pad_to_multiple_of", "num_workers", "cache_dir"),
    *("predict_path", "id_column", "keep_columns"),
)

_kept: "dict[str, Corpus] | None" = None


@dataclass(frozen=True)
class Corpus:
    """Labeled rows by split, and what was done to get them.

    Args:
        settings: The settings that they were read with.
        label_set: The classes, and how the labels were read.
        splits: The rows by split.
        available: The number of rows of each split before sampling.
        skipped: By split and reason, the number of rows that cannot be used, and the place of the first.
        duplicates_removed: The number of rows that were removed, see `deduplicate`.
        repeats: The number of rows that repeat a text with other labels, see `aggregate_labels`.
        warnings: Problems of the data, a sentence each.
    """

    settings: DataSettings
    label_set: LabelSet
    splits: dict[str, Rows]
    available: dict[str, int]
    skipped: dict[str, dict[str, Any]] = field(default_factory=dict)
    duplicates_removed: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def rows(self, split: str) -> Rows:
        """The rows of a split.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Raises:
            UserError: The dataset has no such split, or no row of it is left.
        """
        dataset = self.settings.dataset
        if split not in self.splits:
            raise UserError(f"{dataset} has no split {split}; it has {', '.join(self.splits)}")
        if not len(self.splits[split]) and split == "validation" and self.duplicates_removed.get("validation"):
            raise UserError(
                f"every validation text of {dataset} also occurs in test, so nothing is left to choose the checkpoint "
                "by; give other validation rows, or keep these with --data.deduplicate false"
            )
        if not len(self.splits[split]):
            raise UserError(f"the split {split} of {dataset} is empty; look at the filters under `data`")
        return self.splits[split]

    def class_counts(self, split: str) -> list[int]:
        """Rows per class, ``[classes]``: by each row's first class, or with `data.multi_label` by all its classes."""
        counts = [0] * len(self.label_set.names)
        for ids in self.rows(split).labels:
            for index in ids if self.settings.multi_label else ids[:1]:
                counts[index] += 1
        return counts

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the classes and rows. What depends on the data alone can be cached under it."""
        content = hashlib.sha256(json.dumps([self.label_set.names, self.settings.multi_label]).encode())
        for split, rows in self.splits.items():
            content.update(f"{split} {len(rows)}".encode())
            for column in (rows.texts, rows.labels, rows.sources):
                for start in range(0, len(rows), CHUNK):
                    content.update(json.dumps(column[start : start + CHUNK]).encode())
        return content.hexdigest()

    def describe(self, splits: Sequence[str]) -> dict[str, Any]:
        """Rows per split and class, removed duplicates, and warnings, for the run summary and the report.

        Args:
            splits: The splits that are in use.
        """
        rows = {split: len(self.rows(split)) for split in splits}
        counts = {split: dict(zip(self.label_set.names, self.class_counts(split), strict=True)) for split in splits}
        about_splits = data_warnings.split_warnings(counts, rows, self.settings.multi_label)
        return {
            "dataset": self.settings.dataset,
            **{key: value for key in ("config", "revision") if (value := getattr(self.settings, key)) is not None},
            "labels_read": self.label_set.origin,
            "rows": rows,
            "rows_per_class": counts,
            "duplicates_removed": self.duplicates_removed,
            "repeats": self.repeats,
            "skipped": self.skipped,
            "warnings": [*self.warnings, *about_splits],
        }


@contextlib.contextmanager
def corpora_kept() -> Iterator[None]:
    """Inside this block, `load_corpus` reads the rows of equal settings once, although files may change."""
    global _kept
    outer, _kept = _kept, {} if _kept is None else _kept
    try:
        yield
    finally:
        _kept = outer


def load_corpus(settings: DataSettings, evaluated: str | None = None) -> Corpus:
    """Reads a dataset, and filters, deduplicates and samples its rows. Equal settings and files give equal rows.

    Args:
        settings: The settings.
        evaluated: The only split to read, for a model that was trained on other data; all its rows count.

    Raises:
        UserError: The dataset, a column or a row cannot be read, or a setting does not fit the data.
    """
    if _kept is None:
        return _load(settings, evaluated)
    rows_of = {name: value for name, value in asdict(settings).items() if name not in OF_TOKENS_AND_BATCHES}
    key = json.dumps([rows_of, evaluated], sort_keys=True)
    if key not in _kept:
        _kept[key] = _load(settings, evaluated)
    return replace(_kept[key], settings=settings)


def _load(settings: DataSettings, evaluated: str | None) -> Corpus:
    label_set, splits = read_dataset(settings)
    skipped = {split: rows.skipped for split, rows in splits.items() if rows.skipped}
    if evaluated:
        splits = whole_split(splits, evaluated, settings.dataset)
    label_set, splits = _filtered(label_set, splits, settings)
    splits, unique_sources = filters.drop_unique_sources(splits)
    warnings = [] if settings.multi_label else data_warnings.text_warnings(splits)
    if unique_sources:
        warnings.append(
            f"the column source has {unique_sources:,} values for {sum(map(len, splits.values())):,} rows; there are "
            "no metrics by source"
        )
    repeats: dict[str, int] = {}
    if settings.deduplicate:
        splits, repeats = aggregate_labels(splits, settings.multi_label)
        _print_merged(repeats["merged"], settings.dataset)
    warnings += data_warnings.label_warnings(splits, label_set.names, settings.multi_label)
    splits, made = make_missing_splits(splits, settings.seed)
    if made:
        say(f"{settings.dataset} has no {' and no '.join(made)} split: {HELD_OUT_SHARE:.0%} of train for each")
    removed: dict[str, int] = {}
    if settings.deduplicate and not evaluated:
        splits, removed = deduplicate(splits)
    available = {split: len(rows) for split, rows in splits.items() if len(rows)}
    sampled = {split: _sampled(split, rows, settings) if len(rows) else rows for split, rows in splits.items()}
    return Corpus(settings, label_set, sampled, available, skipped, removed, repeats, warnings)


def _filtered(label_set: LabelSet, splits: dict[str, Rows], settings: DataSettings) -> tuple[LabelSet, dict[str, Rows]]:
    """The rows that pass the filters, with the classes of the model if there is one."""
    if settings.sources:
        splits = filters.keep_sources(splits, settings.sources)
    if settings.exclude_labels:
        label_set, splits = filters.exclude_labels(splits, label_set, settings.exclude_labels)
    if settings.classes:
        splits = filters.match_classes(splits, label_set, settings.classes, settings.unknown_labels)
        label_set = LabelSet(tuple(settings.classes), label_set.origin)
    return label_set, splits


def _print_merged(rows: int, dataset: str) -> None:
    if rows:
        say(
            f"{dataset}: {rows:,} rows repeat a text with other labels, and are merged into one row with all labels of "
            "the text (data.deduplicate false keeps them)"
        )


def _sampled(split: str, rows: Rows, settings: DataSettings) -> Rows:
    key = SIZE_KEYS[split]
    size = row_count(getattr(settings, key), len(rows), f"data.{key}")
    return rows.take(stratified_sample(rows, size, (settings.seed, SPLITS.index(split))))
