"""Warnings about labeled data, for the start of training and for the report."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from emotion_lit.data.deduplication import normalize_text
from emotion_lit.data.rows import Rows
from emotion_lit.utils.names import listed, shown

# The number of names in a message.
MOST = 5
# The number of characters of a text in a message.
LONGEST = 40
# With more classes than this, and more than one for two rows, the column is not a column of labels.
FEW_CLASSES = 10
# With more classes, names are not compared.
MOST_COMPARED = 1000
# The share of contradictory texts that is more than the usual noise of a large corpus.
CONTRADICTORY = 0.005
# Shorter names are not compared; in longer names, a typo can be of two letters.
SHORT_NAME, LONG_NAME = 5, 11
# A class can be a typo of a class with this many times its rows.
RARER = 5


def contradictory_texts(rows: Rows) -> list[str]:
    """Texts that occur more than once, with different labels."""
    labels: dict[str, set[frozenset[int]]] = defaultdict(set)
    texts: dict[str, str] = {}
    for text, ids in zip(rows.texts, rows.labels, strict=True):
        normalized = normalize_text(text)
        labels[normalized].add(frozenset(ids))
        texts.setdefault(normalized, text)
    return [texts[normalized] for normalized, found in labels.items() if len(found) > 1]


def label_warnings(splits: Mapping[str, Rows], names: Sequence[str], multi_label: bool) -> list[str]:
    """Warnings about the labels of all rows, before sampling and after `aggregate_labels`.

    Args:
        splits: The rows by split.
        names: The classes.
        multi_label: Whether a text can have several classes.
    """
    rows = [ids for split in splits.values() for ids in split.labels]
    counts = Counter(names[index] for ids in rows for index in ids)
    return [*_about_classes(counts, len(rows)), *(_about_several(rows) if multi_label else [])]


def _about_classes(counts: Counter[str], rows: int) -> list[str]:
    if len(counts) > FEW_CLASSES and 2 * len(counts) > rows:
        return [
            f"there are {len(counts):,} classes for {rows:,} rows, such as {listed(counts, MOST)}; if these are ids or "
            "texts, name the column of labels with data.label_column"
        ]
    single = sorted(name for name, count in counts.items() if count == 1)
    found = []
    if single:
        found.append(
            f"{_number(len(single), 'class has', 'classes have')} a single row, too few to train and evaluate: "
            f"{listed(single, MOST)}"
        )
    found += [
        f"the class {shown(rare)} ({counts[rare]:,} {'row' if counts[rare] == 1 else 'rows'}) looks like a misspelled "
        f"{shown(common)} ({counts[common]:,}); correct the data if it is one"
        for rare, common in misspelled(counts)
    ]
    return found


def text_warnings(splits: Mapping[str, Rows]) -> list[str]:
    """Warnings about the texts of all rows, before `aggregate_labels`, if each text should have one label."""
    train = splits.get("train")
    texts = contradictory_texts(train) if train else []
    if train is None or not texts or len(texts) < CONTRADICTORY * len(train):
        return []
    return [
        f"{_number(len(texts), 'text occurs', 'texts occur')} in train several times with different labels, such as "
        f"{shown(texts[0], LONGEST)!r}"
    ]


def _about_several(rows: Sequence[Sequence[int]]) -> list[str]:
    if not rows or any(len(ids) != 1 for ids in rows):
        return []
    return [
        "data.multi_label is on, but every row has exactly one class; leave it out, and each text gets the most "
        "probable one"
    ]


def split_warnings(counts: Mapping[str, Mapping[str, int]], rows: Mapping[str, int], multi_label: bool) -> list[str]:
    """Warnings about classes without rows in a split.

    Args:
        counts: Rows per class, by split.
        rows: Rows by split.
        multi_label: Whether a text can have several classes; macro-F1 then averages over all of them.
    """
    missing = {split: [name for name, count in of_split.items() if not count] for split, of_split in counts.items()}
    nowhere = [name for name in next(iter(missing.values()), []) if all(name in names for names in missing.values())]
    found = []
    if nowhere and len(missing) > 1:
        found.append(
            f"{_number(len(nowhere), 'class has', 'classes have')} no row in any split: {listed(nowhere, MOST)}; "
            "leave them out with data.exclude_labels"
        )
        missing = {split: [name for name in names if name not in set(nowhere)] for split, names in missing.items()}
    for split, names in missing.items():
        if names:
            have, classes = f"of {len(counts[split]):,} classes have no row", len(counts[split])
            few = f" ({rows[split]:,} rows are fewer than the classes)" if rows[split] < classes else ""
            occur = sum(count > 0 for count in counts[split].values())
            found.append(
                f"{len(names):,} {have} in {split}: {listed(names, MOST)}{few}; "
                f"{_consequence(split, occur, classes, multi_label)}"
            )
    return found


def _consequence(split: str, occur: int, classes: int, multi_label: bool) -> str:
    if split == "train":
        return "the model cannot learn them"
    if multi_label:
        return f"its macro-F1 averages over all {classes:,}, and they count as 0"
    return f"its macro-F1 averages over the {occur:,} that occur, and over others only if they are predicted"


def misspelled(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of a rare class and a common class, whose names differ by a typo.

    Args:
        counts: Rows per class, by name.
    """
    if len(counts) > MOST_COMPARED:
        return []
    return [
        (rare, common)
        for rare in counts
        for common in counts
        if counts[rare] * RARER <= counts[common] and _is_typo(rare.casefold(), common.casefold())
    ]


def _is_typo(rare: str, common: str) -> bool:
    """Whether two names differ by one edit, or long names by two: a letter replaced, removed, added or transposed.

    Names that differ by a number or a prefix such as `un-` are different names.
    """
    shorter, longer = sorted((rare, common), key=len)
    most = 1 if len(shorter) < LONG_NAME else 2
    if len(shorter) < SHORT_NAME or len(longer) - len(shorter) > most or shorter == longer:
        return False
    if longer.endswith(shorter) or re.sub(r"\d+", "", rare) == re.sub(r"\d+", "", common):
        return False
    if any(len(one) < SHORT_NAME for one in _words_apart(rare, common)):
        return False
    return edit_distance(rare, common) <= most


def _words_apart(one: str, other: str) -> list[str]:
    """The words in which two names of the same number of words differ, such as `type a` and `type b`."""
    words = re.split(r"[\W_]+", one), re.split(r"[\W_]+", other)
    if len(words[0]) != len(words[1]):
        return []
    return [min(pair, key=len) for pair in zip(*words, strict=True) if pair[0] != pair[1]]


def edit_distance(one: str, other: str) -> int:
    """The edit distance of two words, with transpositions (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        two_before, before, row = before, row, [place]
        for at, of_other in enumerate(other, 1):
            cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (letter != of_other))
            if place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == of_other:
                cost = min(cost, two_before[at - 2] + 1)
            row.append(cost)
    return row[-1]


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
