"""Duplicates: texts that occur more than once in a split, or in several splits."""

from emotion_lit.data.rows import Rows


def normalize_text(text: str) -> str:
    """The text in lower case (case-folded), with single spaces between words."""
    return " ".join(text.casefold().split())


def deduplicate(splits: dict[str, Rows]) -> tuple[dict[str, Rows], dict[str, int]]:
    """Removes duplicates: from train all but the first, and from train and validation the texts of a later split.

    Validation chooses the checkpoint, the temperature and the thresholds, so a test text in it would raise the test
    metrics as well.

    Args:
        splits: The rows by split; test stays as it is.

    Returns:
        The splits, and the number of rows that were removed: from train as texts of validation or test (``held_out``)
        and as repeats (``repeated``), and from ``validation`` as texts of test.
    """
    normalized = {split: [normalize_text(text) for text in rows.texts] for split, rows in splits.items()}
    test = set(normalized.get("test", ()))
    kept = dict(splits)
    removed = {"held_out": 0, "repeated": 0, "validation": 0}
    if "validation" in splits:
        own = [index for index, text in enumerate(normalized["validation"]) if text not in test]
        removed["validation"] = len(splits["validation"]) - len(own)
        if removed["validation"]:
            kept["validation"] = splits["validation"].take(own)
    if "train" in splits:
        held_out = test.union(normalized.get("validation", ()))
        own = [index for index, text in enumerate(normalized["train"]) if text not in held_out]
        first = {normalized["train"][index]: index for index in reversed(own)}
        removed |= {"held_out": len(splits["train"]) - len(own), "repeated": len(own) - len(first)}
        kept["train"] = splits["train"].take(sorted(first.values()))
    return kept, removed
