"""The separator of several labels in one text, such as ``joy|fear``."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from emotion_lit.data.labels.label_set import LabelError
from emotion_lit.data.labels.spelling import normalize_name, trimmed
from emotion_lit.utils.names import shown

# The first ones separate names and are hardly ever part of one; the others are parts of names too ("love, actually").
BETWEEN, OFTEN_BETWEEN = ("|", "#"), (";", ",")
# These are more often part of a name, so they separate labels only if they are set.
IN_NAMES = ("/", "&", "+", "\t", "\n", " and ", ":", "_", "-", " ")
BETWEEN_IDS = ("|", "#", ";", ",", "/", " ")
ID = r"-?[0-9]+"
BITS = re.compile(r"[01]{3,}")
DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
# The share of texts with a separator whose parts also occur elsewhere, from which on it separates labels.
MOST = 0.9

Known = Callable[[str], bool]


def split_labels(text: str, separator: str) -> list[str]:
    """The labels in a text."""
    return [piece for piece in map(trimmed, text.split(separator)) if piece]


def find_separator(texts: Sequence[str], known: Known | None, classes: Collection[str], several: bool) -> str | None:
    """Detects the separator of labels in the texts of a column; None if each text is one label.

    Args:
        texts: The distinct texts.
        known: Returns whether a text is a class, if the classes are known.
        classes: Other names of classes.
        several: Whether a row can have several labels.

    Raises:
        LabelError: It is unclear whether texts are one name or several.
    """
    if known is not None:
        return _of_known(texts, known)
    for separator in BETWEEN_IDS:
        ids = re.compile(rf"{ID}(?:\s*{re.escape(separator)}\s*{ID})*")
        if any(separator in text for text in texts) and all(map(ids.fullmatch, texts)):
            if separator == "," and not several and all(map(DECIMAL_COMMA.fullmatch, texts)):
                raise _doubt(texts[0], separator, "a decimal number, or several ids")
            return separator
    if several and len(set(map(len, texts))) == 1 and all(map(BITS.fullmatch, texts)):
        raise LabelError(
            f"the label {texts[0]!r} may be a name, or a one-hot list: write {','.join(texts[0])} for a list, or give "
            "the names with data.labels",
            texts[0],
        )
    for separator in (*BETWEEN, *OFTEN_BETWEEN, *IN_NAMES):
        if _separates(separator, texts, classes, several):
            _check_alone(separator, texts)
            return separator
    return None


def _check_alone(separator: str, texts: Sequence[str]) -> None:
    """Raises `LabelError` if another separator occurs in the separated labels."""
    labels = list(dict.fromkeys(piece for text in texts for piece in split_labels(text, separator)))
    for other in {*BETWEEN, *OFTEN_BETWEEN} - {separator}:
        if _separates(other, labels, (), several=False):
            label = next(label for label in labels if len(split_labels(label, other)) > 1)
            text = next(text for text in texts if label in text)
            raise LabelError(
                f"the label {shown(text)!r} is separated by {other!r}, and others by {separator!r}; write one of them, "
                f"or set data.label_separator to {separator!r}",
                text,
            )


def _of_known(texts: Sequence[str], known: Known) -> str | None:
    """The separator with which most unknown texts consist of known names, or else contain one."""
    pieces = {
        separator: [split_labels(text, separator) for text in texts if separator in text and not known(text)]
        for separator in (*BETWEEN, *OFTEN_BETWEEN, *IN_NAMES)
    }
    for test, separators in ((all, tuple(pieces)), (any, (*BETWEEN, *OFTEN_BETWEEN))):
        made = {separator: sum(test(map(known, found)) for found in pieces[separator]) for separator in separators}
        best = max(made, key=lambda separator: made[separator])
        if made[best]:
            return best
    return None


def _separates(separator: str, texts: Sequence[str], classes: Collection[str], several: bool) -> bool:
    """Whether a character separates labels, by the share of texts whose parts also occur elsewhere."""
    pieces = {normalize_name(text): list(map(normalize_name, split_labels(text, separator))) for text in texts}
    composed = {text: names for text, names in pieces.items() if len(names) > 1}
    if not composed:
        return False
    alone = {names[0] for names in pieces.values() if len(names) == 1} | set(map(normalize_name, classes))
    times = Counter(name for names in composed.values() for name in set(names))
    again = set() if separator in IN_NAMES else {name for name, count in times.items() if count > 1}
    known = [[name in alone or name in again for name in names] for names in composed.values()]
    wholly, partly = (sum(map(test, known)) / len(known) for test in (all, any))
    if separator in BETWEEN and partly >= MOST:
        return True
    if separator in OFTEN_BETWEEN:
        if wholly >= MOST and (several or alone & times.keys()):
            return True
        if several and partly >= MOST and len(composed) > 1:
            return True
    if separator in IN_NAMES:
        if wholly < MOST:
            return False
    elif not partly and not several:
        return False
    example = next(text for text in texts if len(split_labels(text, separator)) > 1)
    raise _doubt(example, separator, "one name, or several")


def _doubt(text: str, separator: str, readings: str) -> LabelError:
    return LabelError(
        f"the label {shown(text)!r} may be {readings} separated by {separator!r}: set data.label_separator to "
        f"{separator!r} to separate the labels, or to '' for single labels",
        text,
    )
