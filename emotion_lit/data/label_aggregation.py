"""Texts that have a row for each label, or for each person who labelled them."""

from collections import Counter, defaultdict

from emotion_lit.data.labels.label_set import Labels
from emotion_lit.data.sampling import fold
from emotion_lit.data.sources import Rows

# A split that scores keeps its rows, unless at least this share of them repeats another one with other labels: then
# it has a row for each label.
SYSTEMATIC = 0.5


def merge_raters(splits: dict[str, Rows], multi_label: bool) -> tuple[dict[str, Rows], dict[str, int]]:
    """Gives texts that stand several times with different labels the same labels each time.

    With several labels per text these are all of them, in one row; else that of the majority, or the first one.

    Args:
        splits: The rows by split.
        multi_label: Whether a text may have several labels.

    Returns:
        The splits, and how many rows were ``merged`` into others, or ``outvoted`` by others.
    """
    found = dict(splits)
    counts = {"merged": 0, "outvoted": 0}
    for split, rows in splits.items():
        several = _contradictory(rows)
        if not several or (split != "train" and sum(map(len, several)) < SYSTEMATIC * len(rows)):
            continue
        labels = list(rows.labels)
        for places in several:
            votes = [rows.labels[place] for place in places]
            agreed = _union(votes) if multi_label else Counter(votes).most_common(1)[0][0]
            counts["outvoted"] += 0 if multi_label else sum(vote != agreed for vote in votes)
            for place in places:
                labels[place] = agreed
        found[split] = Rows(rows.texts, labels, rows.sources)
        if multi_label:
            left = {place for places in several for place in places[1:]}
            counts["merged"] += len(left)
            found[split] = found[split].take([place for place in range(len(rows)) if place not in left])
    return found, counts


def _contradictory(rows: Rows) -> list[list[int]]:
    """The places of each text that stands several times with different labels."""
    first: dict[str, int] = {}
    repeats: dict[int, list[int]] = defaultdict(list)
    for place, text in enumerate(map(fold, rows.texts)):
        before = first.setdefault(text, place)
        if before != place:
            repeats[before].append(place)
    several = ([place, *others] for place, others in repeats.items())
    return [places for places in several if len({frozenset(rows.labels[place]) for place in places}) > 1]


def _union(votes: list[Labels]) -> Labels:
    return tuple(dict.fromkeys(index for vote in votes for index in vote))
