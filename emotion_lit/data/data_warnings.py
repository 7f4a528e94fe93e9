"""What is odd about labelled data: it is said before training, and in the report."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from emotion_lit.data.deduplication import normalize_text
from emotion_lit.data.rows import Rows
from emotion_lit.utils.names import listed, shown

# Names that a sentence holds.
MOST = 5
# A text whose length a sentence holds.
LONGEST = 40
# With more than a class for two rows, and more than so many, labels are something else; names are not compared then.
FEW_CLASSES, MOST_COMPARED = 10, 1000
# The share of texts with several answers from which it is more than the noise of any large corpus.
CONTRADICTORY = 0.005
# Names of fewer letters differ by one without being the same; of more, a typo may be of two.
SHORT_NAME, LONG_NAME = 5, 11
# A class is a typo of another one that has so many times its rows.
RARER = 5


def contradictory_texts(rows: Rows) -> list[str]:
    """Texts that stand there several times with different labels.

    Args:
        rows: The rows.
    """
    labels: dict[str, set[frozenset[int]]] = defaultdict(set)
    texts: dict[str, str] = {}
    for text, ids in zip(rows.texts, rows.labels, strict=True):
        normalized = normalize_text(text)
        labels[normalized].add(frozenset(ids))
        texts.setdefault(normalized, text)
    return [texts[normalized] for normalized, found in labels.items() if len(found) > 1]


def label_warnings(splits: Mapping[str, Rows], names: Sequence[str], multi_label: bool) -> list[str]:
    """What is odd about the labels of all rows, before they are sampled, where a text has its labels in one row.

    Args:
        splits: The rows by split.
        names: The classes.
        multi_label: Whether a text may have several.
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
            f"{_number(len(single), 'class has', 'classes have')} a single row, which cannot be learned and scored: "
            f"{listed(single, MOST)}"
        )
    found += [
        f"the class {shown(rare)} ({counts[rare]:,} {'row' if counts[rare] == 1 else 'rows'}) looks like a misspelled "
        f"{shown(common)} ({counts[common]:,}); mend the data if it is one"
        for rare, common in misspelled(counts)
    ]
    return found


def text_warnings(splits: Mapping[str, Rows]) -> list[str]:
    """What is odd about the texts of all rows, as they were read, where each has one label.

    Args:
        splits: The rows by split.
    """
    train = splits.get("train")
    texts = contradictory_texts(train) if train else []
    if train is None or not texts or len(texts) < CONTRADICTORY * len(train):
        return []
    return [
        f"{_number(len(texts), 'text stands', 'texts stand')} in train several times with different labels, such as "
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
    """Classes without rows in a split that is used.

    Args:
        counts: Rows per class, by split.
        rows: Rows by split.
        multi_label: Whether a text may have several classes, all of which macro-F1 then is over.
    """
    missing = {split: [name for name, count in of_split.items() if not count] for split, of_split in counts.items()}
    nowhere = [name for name in next(iter(missing.values()), []) if all(name in names for names in missing.values())]
    found = []
    if nowhere and len(missing) > 1:
        found.append(
            f"{_number(len(nowhere), 'class has', 'classes have')} no row in any split: {listed(nowhere, MOST)}; "
            "leave such out with data.exclude_labels"
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
        return "nothing can be learned of them"
    if multi_label:
        return f"its macro-F1 is over all {classes:,}, and they count 0"
    return f"its macro-F1 is over the {occur:,} that occur, and others only if they are predicted"


def misspelled(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of a rare class and a common one whose name is that of the rare one but for a typo.

    Args:
        counts: Rows by the name of the class.
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
    """Whether one name is the other with a letter wrong, left out, added or changed with the next; of long names, two.

    Numbers count something, and `un-` and the like turn a word into its opposite.
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
    """The words by which two names of as many words differ, as `type a` and `type b` do."""
    words = re.split(r"[\W_]+", one), re.split(r"[\W_]+", other)
    if len(words[0]) != len(words[1]):
        return []
    return [min(pair, key=len) for pair in zip(*words, strict=True) if pair[0] != pair[1]]


def edit_distance(one: str, other: str) -> int:
    """How many letters have to be replaced, left out, added, or changed with the next (optimal string alignment).

    Args:
        one: A word.
        other: Another one.
    """
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
