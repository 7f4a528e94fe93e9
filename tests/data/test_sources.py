import json
from pathlib import Path

import datasets
import pytest

from emotion_lit.data.sources import read_dataset
from emotion_lit.errors import UserError


def test_the_sample_has_its_splits_and_classes() -> None:
    labels, splits = read_dataset("sample", "text", "labels", None, multi_label=False)
    assert labels.names == ("Neutral", "Surprise", "Fear", "Sadness", "Joy", "Anger", "Love")
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 1960, "validation": 278, "test": 560}
    assert set(splits["train"].sources) == {"tweet", "forum", "chat", "diary"}


def test_a_folder_in_hub_layout_with_class_labels(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    rows.to_parquet(str(tmp_path / "train.parquet"))
    labels, splits = read_dataset(str(tmp_path), "text", "label", None, multi_label=False)
    assert labels.names == ("no", "yes")
    assert splits["train"].labels == [(1,), (0,)]


def test_the_real_data_takes_the_same_path(super_emotion: str) -> None:
    labels, splits = read_dataset(super_emotion, "text", "labels", None, multi_label=False)
    assert labels.names[0] == "Neutral"
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 121914, "validation": 15154, "test": 9553}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": 0}], "column 'labels' is not known; did you mean 'label'?"),
        ([{"txt": "a", "labels": 0}], "column 'text' is not known"),
        ([{"text": "a", "labels": 0}, {"text": None, "labels": 1}, {"text": 3, "labels": 1}], "2 texts in the column"),
        ([], "has no rows"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError) as error:
        read_dataset(str(file), "text", "labels", None, multi_label=False)
    assert message in str(error.value)


def test_a_bad_row_inside_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a", "labels": 0}\n{"text": \n')
    with pytest.raises(UserError, match=r"train\.jsonl, line 2 is not JSON"):
        read_dataset(str(tmp_path), "text", "labels", None, multi_label=False)


@pytest.mark.parametrize("dataset", ["no/such/folder", "nothing.csv", "nothing"])
def test_what_is_missing_is_named(dataset: str) -> None:
    with pytest.raises(UserError, match=dataset):
        read_dataset(dataset, "text", "labels", None, multi_label=False)
