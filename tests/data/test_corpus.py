"""The rows of a run: the same for the same settings, and known by a fingerprint."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from emotion_lit import EmotionDataModule
from emotion_lit.data.corpus import load_corpus
from emotion_lit.data.settings import NOT_SAVED, DataSettings
from emotion_lit.errors import UserError
from tests.data.test_sources import ROWS, as_csv


def test_the_data_module_takes_the_settings_of_the_data() -> None:
    signature = inspect.signature(EmotionDataModule).parameters
    assert list(signature) == [one.name for one in fields(DataSettings)]
    defaults = {name: one.default for name, one in signature.items() if one.default is not None}
    assert EmotionDataModule(**defaults).settings == DataSettings()
    for name, value in defaults.items():
        assert getattr(DataSettings(), name) == value


def test_saved_settings_read_the_same_rows_again() -> None:
    settings = DataSettings("sample", train_size=70, exclude_labels=["Joy"], seed=3, num_workers=2)
    assert not settings.saved.keys() & set(NOT_SAVED)
    assert load_corpus(DataSettings(**settings.saved)).splits == load_corpus(settings).splits


@pytest.mark.parametrize(
    "changed", [{"train_size": 69}, {"seed": 3}, {"multi_label": True}, {"exclude_labels": ["Joy"]}, {"classes": True}]
)
def test_the_fingerprint_is_that_of_classes_and_rows(changed: dict[str, object]) -> None:
    first = load_corpus(DataSettings("sample", train_size=70))
    if "classes" in changed:
        changed = {"classes": list(first.label_set.names[::-1])}
    assert load_corpus(DataSettings("sample", train_size=70, max_length=9)).fingerprint == first.fingerprint
    assert load_corpus(DataSettings("sample", **{"train_size": 70, **changed})).fingerprint != first.fingerprint  # type: ignore[arg-type]


def test_the_fingerprint_does_not_depend_on_the_place_of_a_file(tmp_path: Path) -> None:
    prints = set()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(as_csv([{**row, "text": f"{row['text']} {n}"} for n in range(4) for row in ROWS]))
        prints.add(load_corpus(DataSettings(str(tmp_path / name))).fingerprint)
    assert len(prints) == 1


def test_a_corpus_says_what_was_removed() -> None:
    corpus = load_corpus(DataSettings("sample", test_size=14))
    described = corpus.describe(["test"])
    assert described["rows"] == {"test": 14}
    assert corpus.available["test"] > 14
    assert sum(described["rows_per_class"]["test"].values()) == 14
    assert described["labels_read"] == corpus.label_set.origin != ""
    with pytest.raises(UserError, match="sample has no split other; it has train, validation, test"):
        corpus.rows("other")
