"""Texts with several rows, one for each label or annotator: their labels are merged, or put to a majority vote."""

from collections import Counter, defaultdict

from emotion_lit.data.deduplication import normalize_text
from emotion_lit.data.labels.label_set import Labels
from emotion_lit.data.rows import Rows

# A validation or test split keeps its rows, unless at least this share of them repeats a text with other labels: then
# it has a row for each label.
SYSTEMATIC = 0.5


def aggregate_labels(splits: dict[str, Rows], multi_label: bool) -> tuple[dict[str, Rows], dict[str, int]]:
    """Gives the rows of one text the same labels.

    With several labels per text these are all labels of the text, in one row. Otherwise it is the label of the
    majority, or the first one.

    Args:
        splits: The rows by split.
        multi_label: Whether a text may have several labels.

    Returns:
        The splits, and the number of rows that were ``merged`` into others, or ``outvoted`` by others.
    """
    found = dict(splits)
    counts = {"merged": 0, "outvoted": 0}
    for split, rows in splits.items():
        groups = _contradictory_rows(rows)
        if not groups or (split != "train" and sum(map(len, groups)) < SYSTEMATIC * len(rows)):
            continue
        labels = list(rows.labels)
        for group in groups:
            votes = [rows.labels[row] for row in group]
            agreed = _union(votes) if multi_label else Counter(votes).most_common(1)[0][0]
            counts["outvoted"] += 0 if multi_label else sum(vote != agreed for vote in votes)
            for row in group:
                labels[row] = agreed
        found[split] = Rows(rows.texts, labels, rows.sources)
        if multi_label:
            merged = {row for group in groups for row in group[1:]}
            counts["merged"] += len(merged)
            found[split] = found[split].take([row for row in range(len(rows)) if row not in merged])
    return found, counts


def _contradictory_rows(rows: Rows) -> list[list[int]]:
    """The rows of each text that occurs more than once, with different labels."""
    first: dict[str, int] = {}
    repeats: dict[int, list[int]] = defaultdict(list)
    for row, text in enumerate(map(normalize_text, rows.texts)):
        earlier = first.setdefault(text, row)
        if earlier != row:
            repeats[earlier].append(row)
    groups = ([row, *others] for row, others in repeats.items())
    return [group for group in groups if len({frozenset(rows.labels[row]) for row in group}) > 1]


def _union(votes: list[Labels]) -> Labels:
    return tuple(dict.fromkeys(index for vote in votes for index in vote))
