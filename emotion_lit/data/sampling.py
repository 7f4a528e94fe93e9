"""Which rows are used: filters, missing splits, duplicates across splits, stratified seeded samples."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emotion_lit.data.class_coverage import cover_classes
from emotion_lit.data.labels.label_set import LabelSet, Lookup
from emotion_lit.data.skipped_rows import OnBadRow
from emotion_lit.data.sources import SPLITS, Rows
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed

Size = int | float | str | None
# The share of a lone file, or of a lone train split, that becomes each of the other splits.
HELD_OUT_SHARE = 0.1
# So many sources are few, of however few rows.
FEW_SOURCES = 5


def keep_sources(splits: dict[str, Rows], sources: Sequence[str]) -> dict[str, Rows]:
    """Keeps only the rows that come from these corpora.

    Args:
        splits: The rows by split.
        sources: Values of the ``source`` column.

    Raises:
        UserError: There is no such source.
    """
    known = sorted({source for rows in splits.values() for source in rows.sources} - {""})
    for source in sources:
        if source not in known:
            raise unknown("source", source, known)
    wanted = set(sources)
    return {
        split: rows.take([index for index, source in enumerate(rows.sources) if source in wanted])
        for split, rows in splits.items()
    }


def drop_numbering_sources(splits: dict[str, Rows]) -> tuple[dict[str, Rows], int]:
    """Forgets sources of which nearly each row has another one: they number the rows, and scores by them say nothing.

    Args:
        splits: The rows by split.

    Returns:
        The rows, and how many such sources there were; zero if they are kept.
    """
    sources = {source for rows in splits.values() for source in rows.sources} - {""}
    if len(sources) <= max(FEW_SOURCES, sum(map(len, splits.values())) / 2):
        return splits, 0
    return {split: Rows(rows.texts, rows.labels, [""] * len(rows)) for split, rows in splits.items()}, len(sources)


def drop_labels(splits: dict[str, Rows], label_set: LabelSet, names: Sequence[str]) -> tuple[LabelSet, dict[str, Rows]]:
    """Drops classes, and the rows that have no other class.

    Args:
        splits: The rows by split.
        label_set: The classes.
        names: The classes to drop.

    Returns:
        The classes that remain, and their rows with the ids renumbered.

    Raises:
        UserError: There is no such class, or fewer than two remain.
    """
    dropped = {label_set.id(name) for name in names}
    kept = [index for index in range(len(label_set.names)) if index not in dropped]
    if len(kept) < 2:
        raise UserError(f"data.exclude_labels leaves {len(kept)} of {len(label_set.names)} classes; keep at least two")
    renumbered = {old: new for new, old in enumerate(kept)}
    result = {}
    for split, rows in splits.items():
        labels = [tuple(renumbered[index] for index in ids if index in renumbered) for ids in rows.labels]
        indices = [row for row, ids in enumerate(labels) if ids or not rows.labels[row]]
        result[split] = Rows(rows.texts, labels, rows.sources).take(indices)
    return LabelSet(tuple(label_set.names[index] for index in kept)), result


def match_classes(
    splits: dict[str, Rows], label_set: LabelSet, classes: Sequence[str], unknown_labels: OnBadRow = "stop"
) -> dict[str, Rows]:
    """Renumbers labels to those of a trained model, by name.

    Args:
        splits: The rows by split.
        label_set: The classes of the data.
        classes: The classes of the model.
        unknown_labels: What to do about rows with a label that is not among the model's.

    Raises:
        UserError: There are some, and they are not to be left out.
    """
    known = Lookup(classes)
    numbers = [known.find(name) for name in label_set.names]
    result = {}
    for split, rows in splits.items():
        labels = [tuple(number for index in ids if (number := numbers[index]) is not None) for ids in rows.labels]
        kept = [row for row, ids in enumerate(labels) if len(ids) == len(rows.labels[row])]
        left = len(rows) - len(kept)
        if left:
            counts = Counter(index for ids in rows.labels for index in ids if numbers[index] is None)
            named = listed(f"{label_set.names[index]} ({count:,})" for index, count in counts.most_common())
            found = f"{left:,} of {len(rows):,} rows of {split} have labels that the model does not know: {named}"
            if unknown_labels == "stop":
                raise UserError(
                    f"{found}; it knows {listed(classes)}. Leave such rows out with --data.unknown_labels skip, or "
                    "name the ids with data.labels"
                )
            say(f"{found}; they are left out")
        result[split] = Rows(rows.texts, labels, rows.sources).take(kept)
    return result


def complete_splits(splits: dict[str, Rows], seed: int) -> tuple[dict[str, Rows], list[str]]:
    """Makes the splits that a data set lacks out of its train split, stratified and seeded.

    Args:
        splits: The rows by split.
        seed: Decides which rows.

    Returns:
        All splits, and the names of those that were made. Without a train split nothing is made.

    Raises:
        UserError: There are too few rows for that.
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


def fold(text: str) -> str:
    """A text without differences of case and white space.

    Args:
        text: The text.
    """
    return " ".join(text.casefold().split())


def deduplicate(splits: dict[str, Rows]) -> tuple[dict[str, Rows], dict[str, int]]:
    """Removes what also stands in a split that scores it, and from train all but the first of each repeat.

    Validation chooses the checkpoint, the temperature and the thresholds, so what also stands in test would make the
    test score too good there as well.

    Args:
        splits: The rows by split; test stays as it is.

    Returns:
        The splits, and how many rows left train, ``held_out`` for texts of validation or test and ``repeated`` for
        repeats, and how many left ``validation`` for texts of test.
    """
    folded = {split: [fold(text) for text in rows.texts] for split, rows in splits.items()}
    test = set(folded.get("test", ()))
    kept = dict(splits)
    removed = {"held_out": 0, "repeated": 0, "validation": 0}
    if "validation" in splits:
        own = [index for index, text in enumerate(folded["validation"]) if text not in test]
        removed["validation"] = len(splits["validation"]) - len(own)
        if removed["validation"]:
            kept["validation"] = splits["validation"].take(own)
    if "train" in splits:
        held_out = test.union(folded.get("validation", ()))
        own = [index for index, text in enumerate(folded["train"]) if text not in held_out]
        first = {folded["train"][index]: index for index in reversed(own)}
        removed |= {"held_out": len(splits["train"]) - len(own), "repeated": len(own) - len(first)}
        kept["train"] = splits["train"].take(sorted(first.values()))
    return kept, removed


def row_count(size: Size, available: int, key: str) -> int:
    """How many rows a size stands for.

    Args:
        size: None for all, a whole number of rows, a share in (0, 1], or a percentage such as ``"2%"``.
        available: How many there are; a larger number of rows means all of them.
        key: The configuration key, for messages.

    Raises:
        UserError: The size is none of these, or stands for no rows.
    """
    if size is None:
        return available
    text = str(size).strip()
    try:
        if text.endswith("%") or not text.lstrip("-").isdigit():
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
            count = round(available * share)
        else:
            share, count = 1.0, int(text)
    except ValueError:
        raise UserError(f'{key}: {size!r} is neither a number of rows, nor a share such as 0.02 or "2%"') from None
    if not 0 < share <= 1:
        raise UserError(f"{key}: {size!r} is not a share between 0 and 100%")
    if count <= 0:
        raise UserError(f"{key}: {size!r} of {available:,} rows is a sample of zero rows; ask for more")
    return min(count, available)


def stratified_sample(rows: Rows, size: int, seed: Sequence[int], leave: bool = False) -> list[int]:
    """Places of a sample that has the class shares of the whole, and each class if it is large enough.

    The shares are those of each row's first class, rounded by largest remainder so that the sizes add up. The first
    rows of one seed's larger sample are those of its smaller one, class by class.

    Args:
        rows: The rows to choose from.
        size: How many.
        seed: Decides which.
        leave: Whether the rows that are left have to hold each class too: one with a single row then is not in the
            sample.

    Returns:
        The places, ascending.
    """
    if size >= len(rows):
        return list(range(len(rows)))
    first = np.array([ids[0] if ids else -1 for ids in rows.labels])
    classes, counts = np.unique(first, return_counts=True)
    order = np.empty(len(rows), dtype=np.int64)  # of each row within its class
    chosen = np.zeros(len(rows), dtype=np.bool_)
    for name, quota in zip(classes, _largest_remainder(counts, size), strict=True):
        places = np.flatnonzero(first == name)
        shuffled = places[np.random.default_rng([*seed, int(name) + 1]).permutation(len(places))]
        order[shuffled] = np.arange(len(places))
        chosen[shuffled[:quota]] = True
    cover_classes(chosen, rows.labels, order, leave)
    return np.flatnonzero(chosen).tolist()


def _largest_remainder(counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    exact = counts * (size / counts.sum())
    quotas: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    remainder_first = np.argsort(quotas - exact, kind="stable")
    quotas[remainder_first[: size - quotas.sum()]] += 1
    return quotas
