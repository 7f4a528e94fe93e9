"""Filters of rows: by source, by excluded class, and by the classes of a trained model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from emotion_lit.data.labels.label_set import LabelSet, Lookup
from emotion_lit.data.rows import Rows
from emotion_lit.data.settings import OnBadRow
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed

# So many sources are always kept, however few rows there are.
FEW_SOURCES = 5


def keep_sources(splits: Mapping[str, Rows], sources: Sequence[str]) -> dict[str, Rows]:
    """Keeps only the rows that come from these corpora.

    Args:
        splits: The rows by split.
        sources: Values of the column ``source``.

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


def drop_unique_sources(splits: dict[str, Rows]) -> tuple[dict[str, Rows], int]:
    """Drops the sources if nearly every row has its own: they are row numbers, and metrics by source mean nothing.

    Args:
        splits: The rows by split.

    Returns:
        The rows, and the number of sources that were dropped; zero if they are kept.
    """
    sources = {source for rows in splits.values() for source in rows.sources} - {""}
    if len(sources) <= max(FEW_SOURCES, sum(map(len, splits.values())) / 2):
        return splits, 0
    return {split: Rows(rows.texts, rows.labels, [""] * len(rows)) for split, rows in splits.items()}, len(sources)


def exclude_labels(
    splits: Mapping[str, Rows], label_set: LabelSet, names: Sequence[str]
) -> tuple[LabelSet, dict[str, Rows]]:
    """Removes classes, and the rows that have no other class.

    Args:
        splits: The rows by split.
        label_set: The classes.
        names: The classes to remove.

    Returns:
        The remaining classes, and their rows with new ids.

    Raises:
        UserError: There is no such class, or fewer than two classes remain.
    """
    excluded = {label_set.id(name) for name in names}
    kept = [index for index in range(len(label_set.names)) if index not in excluded]
    if len(kept) < 2:
        raise UserError(f"data.exclude_labels leaves {len(kept)} of {len(label_set.names)} classes; keep at least two")
    new_ids = {old: new for new, old in enumerate(kept)}
    result = {}
    for split, rows in splits.items():
        labels = [tuple(new_ids[index] for index in ids if index in new_ids) for ids in rows.labels]
        indices = [row for row, ids in enumerate(labels) if ids or not rows.labels[row]]
        result[split] = Rows(rows.texts, labels, rows.sources).take(indices)
    return replace(label_set, names=tuple(label_set.names[index] for index in kept)), result


def match_classes(
    splits: Mapping[str, Rows], label_set: LabelSet, classes: Sequence[str], unknown_labels: OnBadRow = "stop"
) -> dict[str, Rows]:
    """Replaces the class ids of the data by those of a trained model, matched by name.

    Args:
        splits: The rows by split.
        label_set: The classes of the data.
        classes: The classes of the model.
        unknown_labels: ``stop`` at rows with a label that the model does not know, or ``skip`` them.

    Raises:
        UserError: There are such rows, and they are not to be skipped.
    """
    known = Lookup(classes)
    model_ids = [known.find(name) for name in label_set.names]
    result = {}
    for split, rows in splits.items():
        labels = [tuple(new for index in ids if (new := model_ids[index]) is not None) for ids in rows.labels]
        kept = [row for row, ids in enumerate(labels) if len(ids) == len(rows.labels[row])]
        left = len(rows) - len(kept)
        if left:
            counts = Counter(index for ids in rows.labels for index in ids if model_ids[index] is None)
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
