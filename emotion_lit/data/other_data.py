"""Data that a model was not trained on: whose settings count, and which of their rows are judged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_lit.data.dataset_layout import SPLITS
from emotion_lit.data.sources import Rows
from emotion_lit.utils.console import say

# Settings that are about the rows of one data set, and say nothing about those of another.
OF_ONE_DATASET = (
    *("config", "revision", "separator", "encoding", "header", "on_error"),
    *("text_column", "label_column", "label_columns", "label_separator", "labels"),
    *("train_size", "val_size", "test_size", "exclude_labels", "sources", "deduplicate"),
)


def is_same_dataset(settings: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether two settings are about the same data set; of another revision it still is the same.

    Args:
        settings: The settings of data.
        others: Others, such as those that a checkpoint remembers.
    """
    dataset, other = settings.get("dataset"), others.get("dataset")
    if not dataset or not other or settings.get("config") != others.get("config"):
        return False
    there = Path(dataset).exists() and Path(other).exists()
    return Path(dataset).samefile(other) if there else dataset == other


def whole_split(splits: Mapping[str, Rows], split: str, dataset: str) -> dict[str, Rows]:
    """All rows to judge a model by that was trained on none of them.

    Args:
        splits: The rows by split.
        split: The split that is asked for; where it is missing, another one is judged, train last.
        dataset: What the data set is called.
    """
    judged = next(name for name in (split, *reversed(SPLITS)) if name in splits)
    rows = splits[judged]
    if judged != split:
        others = "" if len(splits) == 1 else f" of {judged}"
        say(f"{dataset} has no {split} split: all {len(rows):,} rows{others} are judged, as none was trained on")
    return {split: rows}
