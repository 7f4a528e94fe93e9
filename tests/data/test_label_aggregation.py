from pathlib import Path

import pytest

from emotion_lit import EmotionDataModule
from emotion_lit.data.label_aggregation import aggregate_labels
from emotion_lit.data.rows import Rows


def rows(*pairs: tuple[str, tuple[int, ...]]) -> Rows:
    return Rows([text for text, _ in pairs], [labels for _, labels in pairs], [""] * len(pairs))


def test_with_several_labels_a_text_has_all_of_its_rows() -> None:
    train = rows(("a", (1,)), ("b", (0,)), ("A ", (0,)), ("c", ()), ("c", (2,)), ("d", (1,)), ("d", (1,)))
    merged, counts = aggregate_labels({"train": train}, multi_label=True)
    assert dict(zip(merged["train"].texts, merged["train"].labels, strict=True)) == {
        **{"a": (1, 0), "b": (0,), "c": (2,)},
        "d": (1,),
    }
    assert len(merged["train"]) == 5  # repeats that agree are left to deduplication
    assert counts == {"merged": 2, "outvoted": 0}


def test_with_one_label_the_majority_counts_and_else_the_first() -> None:
    train = rows(("a", (0,)), ("a", (1,)), ("a", (1,)), ("b", (2,)), ("b", (0,)), ("c", (1,)))
    merged, counts = aggregate_labels({"train": train}, multi_label=False)
    assert merged["train"].labels == [(1,), (1,), (1,), (2,), (2,), (1,)]
    assert counts == {"merged": 0, "outvoted": 2}


@pytest.mark.parametrize("multi_label", [True, False])
def test_a_split_that_scores_keeps_its_few_repeats(multi_label: bool) -> None:
    test = rows(("a", (0,)), ("a", (1,)), *((f"text {place}", (0,)) for place in range(9)))
    assert aggregate_labels({"test": test}, multi_label)[0]["test"].labels == test.labels
    systematic = rows(*((f"text {place // 2}", (place % 2,)) for place in range(20)))
    merged = aggregate_labels({"test": systematic}, multi_label)[0]["test"]
    assert (len(merged), set(merged.labels)) == ((10, {(0, 1)}) if multi_label else (20, {(0,)}))


def test_a_file_with_a_row_for_each_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["joy", "love", "fear"]
    lines = [f"text {row} of it,{names[(row + other) % 3]}" for row in range(30) for other in range(2)]
    (tmp_path / "data.csv").write_text("\n".join(["text,emotion", *lines]))
    data = EmotionDataModule(str(tmp_path / "data.csv"), "embedded", multi_label=True)
    assert sum(len(data.rows(split)) for split in ("train", "validation", "test")) == 30
    assert {len(labels) for split in ("train", "test") for labels in data.rows(split).labels} == {2}
    assert "30 rows repeat a text with other labels, and are merged" in capsys.readouterr().err
    single = EmotionDataModule(str(tmp_path / "data.csv"), "embedded")
    single.rows("train")
    assert single.corpus.repeats == {"merged": 0, "outvoted": 30}
