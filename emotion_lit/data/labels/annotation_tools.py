"""Labels as annotation tools export them: doccano, Label Studio, spaCy, Prodigy."""

from collections.abc import Mapping
from typing import Any

from emotion_lit.data.labels.label_set import LabelError
from emotion_lit.utils.names import listed

# The keys of the label, or of the list of labels.
KEYS = ("choices", "choice", "labels", "label", "cats", "accept", "rating", "name")
EXPECTED = 'write the choices as a list of names, as {"choices": [...]} or as {"joy": 1, "fear": 0}'


def choices_of(value: Mapping[Any, Any]) -> list[Any]:
    """The names and ids in an object of an annotation tool.

    Args:
        value: Such as ``{"choices": [...]}`` or ``{"joy": 1, "fear": 0}``; keys without a value are ignored.

    Raises:
        LabelError: The object has another form.
    """
    given = {key: item for key, item in value.items() if item is not None}
    if "result" in given:
        return [] if given.get("was_cancelled") is True else _results(given["result"])
    keys = [key for key in KEYS if key in given]
    if given.keys() >= {"start", "end"} or "entities" in given:
        raise LabelError("is about parts of a text; write the names or ids of the whole text")
    if len(keys) != 1:
        return _marked(given)
    inside = given[keys[0]]
    if isinstance(inside, Mapping):
        return choices_of(inside)
    return list(inside) if isinstance(inside, list | tuple) else [inside]


def text_inside(value: Any) -> Any:
    """The text in an object that Label Studio exports for a task; other values are returned unchanged."""
    if not isinstance(value, Mapping):
        return value
    texts = {key: item for key, item in value.items() if isinstance(item, str)}
    return texts["text"] if "text" in texts else next(iter(texts.values())) if len(texts) == 1 else value


def _results(results: Any) -> list[Any]:
    """The choices in the results of an annotator in Label Studio's export."""
    chosen: list[Any] = []
    questions: dict[str, None] = {}
    for result in results if isinstance(results, list | tuple) else ():
        inside = result.get("value") if isinstance(result, Mapping) else None
        if isinstance(inside, Mapping) and any(inside.get(key) is not None for key in KEYS):
            questions[str(result.get("from_name"))] = None
            chosen += choices_of(inside)
    if len(questions) > 1:
        raise LabelError(f"has choices for several questions ({listed(questions)}); export only one of them")
    return chosen


def _marked(given: Mapping[Any, Any]) -> list[Any]:
    """The keys with the value 1, if all values are 0 or 1."""
    if not all(isinstance(item, int | float) for item in given.values()):
        raise LabelError(f"is an object with {listed(map(str, list(given)[:5]))}; {EXPECTED}")
    if not all(item in (0, 1) for item in given.values()):
        raise LabelError("is an object of scores or votes; write names instead, such as those of at least 0.5")
    return [key for key, item in given.items() if item == 1]
