"""Splits that a dataset lacks: made from its training rows, or replaced for an evaluation on other data."""

from collections.abc import Mapping

from emotion_lit.data.rows import SPLITS, Rows
from emotion_lit.data.sampling import stratified_sample
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

# The share of the rows of a single file, or of the only split, that becomes each of the other splits.
HELD_OUT_SHARE = 0.1


def make_missing_splits(splits: dict[str, Rows], seed: int) -> tuple[dict[str, Rows], list[str]]:
    """Makes the splits that a dataset lacks from its training rows: a stratified, seeded sample for each.

    Args:
        splits: The rows by split.
        seed: The seed of the samples.

    Returns:
        All splits, and the names of those that were made. Without a train split nothing is made.

    Raises:
        UserError: There are too few rows.
    """
    missing = [split for split in SPLITS if split not in splits]
    if not missing or "train" in missing:
        return splits, []
    result = dict(splits)
    for split in missing:
        train = result["train"]
        # The same number of rows for each, so the share grows as train shrinks.
        size = max(1, round(len(splits["train"]) * HELD_OUT_SHARE))
        held_out = stratified_sample(train, size, (seed, SPLITS.index(split)), leave=True)
        if len(held_out) == len(train):
            raise UserError(f"{len(splits['train'])} rows are too few to be split into {', '.join(SPLITS)}; add some")
        taken = set(held_out)
        result[split] = train.take(held_out)
        result["train"] = train.take([index for index in range(len(train)) if index not in taken])
    return {split: result[split] for split in SPLITS}, missing


def whole_split(splits: Mapping[str, Rows], split: str, dataset: str) -> dict[str, Rows]:
    """All rows of one split, to evaluate a model that was trained on none of them.

    Args:
        splits: The rows by split.
        split: The split to evaluate; if it is missing, another split takes its place, train last.
        dataset: The name of the dataset, for messages.
    """
    evaluated = next(name for name in (split, *reversed(SPLITS)) if name in splits)
    rows = splits[evaluated]
    if evaluated != split:
        others = "" if len(splits) == 1 else f" of {evaluated}"
        say(
            f"{dataset} has no {split} split: all {len(rows):,} rows{others} are evaluated, because the model was "
            "trained on none of them"
        )
    return {split: rows}
