import json
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.data.data_warnings import edit_distance, misspelled
from emotion_lit.training.datamodule import EmotionDataModule
from tests.conftest import SMALL, Train


def warnings_of(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> list[str]:
    """What is said of a lone file of these rows."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = EmotionDataModule(str(file), **settings)
    data.rows("train")
    found: list[str] = data.describe()["warnings"]
    return found


def labeled(**counts: int) -> list[dict[str, Any]]:
    """So many rows of each class, each with a text of its own."""
    return [
        {"text": f"{name} text {row}", "labels": name.replace("_", " ")}
        for name, count in counts.items()
        for row in range(count)
    ]


def test_healthy_data_has_no_warning(tmp_path: Path) -> None:
    assert EmotionDataModule("sample").describe()["warnings"] == []
    assert warnings_of(tmp_path, labeled(joy=40, sadness=30, anger=10, rare=3)) == []
    assert warnings_of(tmp_path, labeled(happy=100, unhappy=10, admiration=200, adoration=6, type_a=90, type_b=5)) == []
    several = [{"text": f"text {row}", "labels": ["joy", "love"] if row % 9 == 0 else ["joy"]} for row in range(50)]
    assert warnings_of(tmp_path, several, multi_label=True) == []
    some_none = [{"text": f"text {row}", "labels": ["toxic"] if row % 2 else []} for row in range(50)]
    some_none[0]["labels"] = ["rude"]
    assert not [one for one in warnings_of(tmp_path, some_none, multi_label=True) if "data.multi_label is on" in one]


def test_a_corpus_as_it_is_has_no_warning(super_emotion: str) -> None:
    data = EmotionDataModule(super_emotion, train_size=2000, val_size=200, test_size=200)
    data.rows("train")
    assert data.describe()["warnings"] == []


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"joy": 118, "fear": 2},
            ["1 of 2 classes have no row in test: fear; its macro-F1 averages over the 1 that occur"],
        ),
        (
            {"joy": 100, "fear": 1},
            [
                "1 class has a single row, too few to train and evaluate: fear",
                "1 of 2 classes have no row in validation: fear",
                "1 of 2 classes have no row in test: fear",
            ],
        ),
        ({f"class{letter}": 4 for letter in "abcdefghijkl"}, ["in validation", "5 rows are fewer than the classes"]),
        ({f"some text {row}": 1 for row in range(40)}, ["there are 40 classes for 40 rows", "data.label_column"]),
        ({"sadness": 50, "sadnes": 3}, ["the class sadnes (3 rows) looks like a misspelled sadness (50)"]),
        ({"suprise": 4, "surprise": 50}, ["the class suprise (4 rows) looks like a misspelled surprise (50)"]),
        ({"disappointment": 50, "dissapointment": 5}, ["looks like a misspelled disappointment"]),
    ],
)
def test_odd_classes_are_said(counts: dict[str, int], expected: list[str], tmp_path: Path) -> None:
    found = " | ".join(warnings_of(tmp_path, labeled(**counts)))
    for part in expected:
        assert part in found


def test_odd_rows_are_said(tmp_path: Path) -> None:
    rows = labeled(joy=50, fear=50)
    twice = [{"text": " JOY  text 1", "labels": "fear"}, {"text": "joy text 2", "labels": "fear"}]
    (found,) = (one for one in warnings_of(tmp_path, rows + 5 * twice) if "different labels" in one)
    assert found.startswith("2 texts occur in train several times with different labels, such as 'joy text")
    (found,) = warnings_of(tmp_path, rows, multi_label=True)
    assert "data.multi_label is on, but every row has exactly one class" in found


def test_a_row_for_each_label_of_a_text_is_healthy_with_several(tmp_path: Path) -> None:
    names = ["joy", "love", "fear"]
    rows = [{"text": f"text {row}", "labels": names[(row + more) % 3]} for row in range(60) for more in range(2)]
    assert warnings_of(tmp_path, rows, multi_label=True) == []
    (found,) = warnings_of(tmp_path, rows)
    assert found.startswith("60 texts occur in train several times with different labels")


def test_sources_that_number_the_rows_are_left_out(tmp_path: Path) -> None:
    rows = labeled(joy=50, fear=50)
    numbered = [{**row, "source": f"post {number}"} for number, row in enumerate(rows)]
    assert warnings_of(tmp_path, numbered) == [
        "the column source has 100 values for 100 rows; there are no metrics by source"
    ]
    data = EmotionDataModule(str(tmp_path / "rows.jsonl"))
    assert set(data.rows("test").sources) == {""}
    corpora = [{**row, "source": f"corpus {number % 4}"} for number, row in enumerate(rows)]
    assert warnings_of(tmp_path, corpora) == []


def test_classes_that_a_list_of_labels_names_in_vain_are_said(tmp_path: Path) -> None:
    found = warnings_of(tmp_path, labeled(joy=50, fear=50), labels=["joy", "fear", "love"])
    assert found == ["1 class has no row in any split: love; leave them out with data.exclude_labels"]


def test_typos_are_of_rare_long_names() -> None:
    pairs = [
        ("sadnes", "sadness"),
        ("digust", "disgust"),
        ("suprise", "surprise"),
        ("nuetral", "neutral"),
        ("embarasment", "embarrassment"),
        ("Confusoin", "confusion"),
    ]
    for rare, common in pairs:
        assert misspelled({common: 100, rare: 2}) == [(rare, common)]
        assert misspelled({common: 100, rare: 60}) == []
    others = [
        ("unhappy", "happy"),
        ("atypical", "typical"),
        ("fear", "dear"),
        ("level 1", "level 2"),
        ("topic12", "topic1"),
    ]
    others += [("unsatisfactory", "satisfactory"), ("class b", "class a"), ("pessimism", "optimism")]
    for rare, common in others:
        assert misspelled({common: 100, rare: 2}) == []


def test_letters_that_change_places_are_one_mistake() -> None:
    assert edit_distance("nuetral", "neutral") == 1
    assert edit_distance("", "abc") == 3
    assert edit_distance("kitten", "sitting") == 3


def test_fit_says_it_before_training_and_in_the_report(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rare.csv"
    texts = [f"{name} number {row},{name}" for name, count in (("joy", 118), ("fear", 2)) for row in range(count)]
    file.write_text("text,labels\n" + "".join(f"{line}\n" for line in texts))
    run = train(f"--data.dataset={file}", "--data.train_size=null", "--trainer.max_epochs=1")
    printed = capsys.readouterr().err
    line = "1 of 2 classes have no row in test: fear; its macro-F1 averages over the 1 that occur"
    assert f"warning: {line}" in printed
    assert printed.index(line) < printed.index("report  ")
    report = json.loads((run / "report.json").read_text())
    assert [one for one in report["data"]["warnings"] if line in one]
    assert report["after"]["macro_f1_classes"] in (1, 2)  # fear counts if it is predicted
    for page in ("report.md", "report.html"):
        assert line in (run / page).read_text()


def test_a_run_on_the_sample_has_no_warning(tiny_run: Path) -> None:
    assert SMALL[0] == "--data.dataset=sample"
    assert json.loads((tiny_run / "report.json").read_text())["data"]["warnings"] == []
