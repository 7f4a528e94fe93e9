"""What separates the labels of a row that stand in one text, such as ``joy|fear``."""

import re
from collections.abc import Callable, Collection, Sequence

from emotion_lit.data.labels import LabelError, normalize_name, trimmed
from emotion_lit.names import shown

# These stand between names, and hardly ever in one; the next ones stand in names too ("love, actually").
BETWEEN, OFTEN_BETWEEN = ("|", "#"), (";", ",")
# These stand in names more often than between them, so that nothing is separated at one unless it is set.
IN_NAMES = ("/", "&", "+")
BETWEEN_IDS = ("|", "#", ";", ",", "/", " ")
ID = r"-?[0-9]+"
DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
# Of the texts that hold a separator so many are made of names that occur elsewhere too.
MOST = 0.9

Known = Callable[[str], bool]


def split_labels(text: str, separator: str) -> list[str]:
    """The labels in a text.

    Args:
        text: The text.
        separator: What stands between them.
    """
    return [piece for piece in map(trimmed, text.split(separator)) if piece]


def find_separator(texts: Sequence[str], known: Known | None, classes: Collection[str], several: bool) -> str | None:
    """What separates the labels in the texts of a column; None if each is one label.

    Args:
        texts: The distinct texts.
        known: Whether a text is a class, where the classes are known.
        classes: Names that are classes, beside those that stand alone in the column.
        several: Whether a row may have several labels.

    Raises:
        LabelError: They may be one name or several.
    """
    if known is not None:
        return _of_known(texts, known)
    for separator in BETWEEN_IDS:
        ids = re.compile(rf"{ID}(?:\s*{re.escape(separator)}\s*{ID})*")
        if any(separator in text for text in texts) and all(map(ids.fullmatch, texts)):
            if separator == "," and all(map(DECIMAL_COMMA.fullmatch, texts)):
                raise _doubt(texts[0], separator, "a decimal number, or several ids")
            return separator
    for separator in (*BETWEEN, *OFTEN_BETWEEN, *IN_NAMES):
        if _separates(separator, texts, classes, several):
            return separator
    return None


def _of_known(texts: Sequence[str], known: Known) -> str | None:
    """The separator that makes the most of the unknown texts known."""
    unknown = [text for text in texts if not known(text)]
    made = {
        separator: sum(separator in text and all(map(known, split_labels(text, separator))) for text in unknown)
        for separator in (*BETWEEN_IDS, *IN_NAMES)
    }
    best = max(made, key=lambda separator: made[separator])
    return best if made[best] else None


def _separates(separator: str, texts: Sequence[str], classes: Collection[str], several: bool) -> bool:
    composed = [text for text in texts if len(split_labels(text, separator)) > 1]
    if not composed:
        return False
    pieces = [{normalize_name(piece) for piece in split_labels(text, separator)} for text in composed]
    alone = {normalize_name(text) for text in texts if separator not in text} | set(map(normalize_name, classes))
    times: dict[str, int] = {}
    for names in pieces:
        for name in names:
            times[name] = times.get(name, 0) + 1
    found = [[name in alone or times[name] > 1 for name in names] for names in pieces]
    wholly, partly = (sum(map(test, found)) / len(found) for test in (all, any))
    if separator in BETWEEN and partly >= MOST:
        return True
    if separator in OFTEN_BETWEEN and (wholly >= MOST or (several and partly >= MOST and len(found) > 1)):
        return True
    if partly == 0 and not (several and separator not in IN_NAMES):
        return False
    if separator in IN_NAMES and wholly < MOST:
        return False
    raise _doubt(composed[0], separator, "one name, or several")


def _doubt(text: str, separator: str, readings: str) -> LabelError:
    return LabelError(
        f"the label {shown(text)!r} may be {readings} separated by {separator!r}: set data.label_separator to "
        f"{separator!r} to separate them, or to '' to keep them whole",
        text,
    )
