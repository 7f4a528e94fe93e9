import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from emotion_lit import EmotionDataModule
from emotion_lit.errors import UserError
from emotion_lit.training.callbacks.run_summary import data_lines


def write_csv(path: Path, rows: list[tuple[str, str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "labels"), *rows])
    return str(path)


def test_a_file_is_split_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"text number {place}", "yes" if place % 4 else "no") for place in range(200)]
    data = EmotionDataModule(dataset=write_csv(tmp_path / "own.csv", rows), backbone="embedded")
    assert data.label_names == ["no", "yes"]
    assert data.corpus.class_counts("train") == [40, 120]
    assert data.corpus.class_counts("test") == [5, 15]
    assert "has no validation and no test split" in capsys.readouterr().err


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    first, again, other = (
        EmotionDataModule(dataset="sample", backbone="embedded", train_size="5%", seed=seed).rows("train").texts
        for seed in (1, 1, 2)
    )
    assert len(first) == 98
    assert first == again != other


def test_the_six_emotion_task() -> None:
    data = EmotionDataModule(dataset="sample", backbone="embedded", exclude_labels=["Neutral"])
    assert data.label_names == ["Surprise", "Fear", "Sadness", "Joy", "Anger", "Love"]
    assert data.corpus.class_counts("train") == [280] * 6


def test_sources_filter() -> None:
    data = EmotionDataModule(dataset="sample", backbone="embedded", sources=["tweet", "chat"])
    assert set(data.rows("test").sources) == {"tweet", "chat"}


def test_duplicates_leave_train_and_are_counted(tmp_path: Path) -> None:
    for split, texts in {"train": ["a b", "A  b", "c", "d"], "validation": ["C", "E"], "test": ["e"]}.items():
        lines = [json.dumps({"text": text, "labels": place % 2}) for place, text in enumerate(texts)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    data = EmotionDataModule(dataset=str(tmp_path), backbone="embedded")
    assert data.rows("train").texts == ["a b", "d"]
    assert data.rows("validation").texts == ["C"]
    assert data.corpus.duplicates_removed == {"held_out": 1, "repeated": 1, "validation": 1}
    said = data_lines(data)
    assert "2 duplicates were removed from train (1 of them also occur in validation or test)" in said
    assert "1 were removed from validation, because they also occur in test" in said
    kept = EmotionDataModule(dataset=str(tmp_path), backbone="embedded", deduplicate=False)
    assert len(kept.rows("train")) == 4


def test_validation_that_is_test_is_refused_by_name(tmp_path: Path) -> None:
    for split, texts in {"train": ["a", "b"], "validation": ["c", "d"], "test": ["c", "D"]}.items():
        lines = [json.dumps({"text": text, "labels": place}) for place, text in enumerate(texts)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    data = EmotionDataModule(dataset=str(tmp_path), backbone="embedded")
    assert len(data.rows("test")) == 2
    with pytest.raises(UserError, match="every validation text of .* also occurs in test.*--data.deduplicate false"):
        data.rows("validation")
    kept = EmotionDataModule(dataset=str(tmp_path), backbone="embedded", deduplicate=False)
    assert len(kept.rows("validation")) == 2


def test_batches_carry_targets_and_rows() -> None:
    data = EmotionDataModule(dataset="sample", backbone="embedded", train_size=70)
    data.setup("fit")
    seen: Counter[int] = Counter()
    for batch in data.train_dataloader():
        assert batch["targets"].shape == (len(batch["row"]), 7)
        assert batch["targets"].sum(dim=1).allclose(batch["targets"].new_ones(()))
        seen.update(batch["row"].tolist())
    assert seen == Counter(range(70))


def test_several_labels_spread_or_stand_for_themselves() -> None:
    mixed = [row for row, ids in enumerate(EmotionDataModule(dataset="sample").rows("test").labels) if len(ids) > 1]
    for multi_label, value in ((False, 0.5), (True, 1.0)):
        data = EmotionDataModule(dataset="sample", backbone="embedded", multi_label=multi_label)
        data.setup("test")
        targets = {
            row: target
            for batch in data.test_dataloader()
            for row, target in zip(batch["row"].tolist(), batch["targets"], strict=True)
        }
        assert targets[mixed[0]].max() == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_size": 0}, "data.train_size"),
        ({"sources": ["tweets"]}, "did you mean 'tweet'"),
        ({"exclude_labels": ["Hate"]}, "label 'Hate' is not known"),
        ({"text_column": "txt"}, "data.text_column"),
        ({"labels": ["a", "b"]}, "out of range"),
        ({"max_length": 100_000}, "data.max_length"),
        ({"max_length": 0}, "data.max_length"),
    ],
)
def test_bad_settings_name_the_key(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as error:
        EmotionDataModule(dataset="sample", backbone="embedded", **settings).setup("fit")  # type: ignore[arg-type]
    assert message in str(error.value)


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    for split, label in (("train", "yes"), ("validation", "no"), ("test", "yes")):
        lines = [json.dumps({"text": f"{split} {n}", "labels": label, "source": split}) for n in range(4)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="the split validation .* is empty"):
        EmotionDataModule(dataset=str(tmp_path), backbone="embedded", sources=["train", "test"]).setup("fit")


def test_workers_prepare_the_same_batches() -> None:
    batches = []
    for workers in (0, 2):
        data = EmotionDataModule("sample", "embedded", train_size=70, num_workers=workers)
        data.setup("fit")
        batches.append([batch["input_ids"].tolist() for batch in data.train_dataloader()])
    assert batches[0] == batches[1]
