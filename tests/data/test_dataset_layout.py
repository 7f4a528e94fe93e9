"""Which files of a folder are which split."""

import pytest

from emotion_lit.data.dataset_card import Card, read_card
from emotion_lit.data.dataset_layout import find_layout
from emotion_lit.errors import UserError

TWO = """---
configs:
- config_name: simplified
  data_files: a/train.csv
- config_name: raw
  data_files:
  - split: train
    path: [b/train-*.csv]
  - split: dev
    path: "b/dev.csv"
---
"""


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["Train.CSV", "TEST.CSV"], {"train": ["Train.CSV"], "test": ["TEST.CSV"]}),
        (
            ["train-00001-of-00002.parquet", "train-00000-of-00002.parquet"],
            {"train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]},
        ),
        (["data/train.csv", "data/valid.csv"], {"train": ["data/train.csv"], "validation": ["data/valid.csv"]}),
        (
            ["train/a.csv", "train/b.csv", "val/a.csv"],
            {"train": ["train/a.csv", "train/b.csv"], "validation": ["val/a.csv"]},
        ),
        (["training.160.csv", "my_dev.csv"], {"train": ["training.160.csv"], "validation": ["my_dev.csv"]}),
        (["train/test_1.csv", "test/train_1.csv"], {"train": ["train/test_1.csv"], "test": ["test/train_1.csv"]}),
        (["test-train-split/train.csv"], {"train": ["test-train-split/train.csv"]}),
        (["b.csv", "a.csv"], {"train": ["a.csv", "b.csv"]}),
        (["contest.csv", "trained.csv"], {"train": ["contest.csv", "trained.csv"]}),
        (["train.csv", "README.txt", "dataset_info.json"], {"train": ["train.csv"]}),
        (
            ["data/train-00000-of-00001.parquet", "data/train_clean-00000-of-00001.parquet"],
            {"train": ["data/train-00000-of-00001.parquet"]},
        ),
        (
            ["train/data-00000-of-00001.parquet", "train/cache-0f3a.arrow", "eval/data-00000-of-00001.parquet"],
            {"train": ["train/data-00000-of-00001.parquet"], "test": ["eval/data-00000-of-00001.parquet"]},
        ),
    ],
)
def test_splits_by_name(files: list[str], splits: dict[str, list[str]]) -> None:
    assert find_layout(files, Card(), None, "it").splits == splits


def test_class_folders() -> None:
    files = ["train/joy/1.txt", "train/joy/2.txt", "train/urls_pos.txt", "test/fear/1.txt"]
    layout = find_layout(files, Card(), None, "it")
    assert layout.splits == {"train": ["train/joy/1.txt", "train/joy/2.txt"], "test": ["test/fear/1.txt"]}
    assert layout.classes == {"train/joy/1.txt": "joy", "train/joy/2.txt": "joy", "test/fear/1.txt": "fear"}
    assert find_layout(["pos/1.txt", "neg/1.txt"], Card(), None, "it").classes == {
        "pos/1.txt": "pos",
        "neg/1.txt": "neg",
    }
    assert find_layout(["joy/train/1.txt", "fear/train/1.txt"], Card(), None, "it").classes["joy/train/1.txt"] == "joy"
    assert not find_layout(["data/train.txt", "more/test.txt"], Card(), None, "it").classes


def test_configurations_of_a_card() -> None:
    card = read_card(TWO, "README.md")
    files = ["a/train.csv", "b/train-1.csv", "b/train-2.csv", "b/dev.csv", "b/other.csv"]
    splits = {"train": ["b/train-1.csv", "b/train-2.csv"], "validation": ["b/dev.csv"]}
    assert find_layout(files, card, "raw", "it").splits == splits
    with pytest.raises(UserError, match=r"it has several configurations; name one with --data.config: simplified, raw"):
        find_layout(files, card, None, "it")
    with pytest.raises(UserError, match=r"it: the configuration 'row' is not known; did you mean 'raw'\?"):
        find_layout(files, card, "row", "it")


def test_a_default_configuration_and_a_folder_of_one() -> None:
    configs = ("config_name: big\n  data_dir: big", "config_name: small\n  data_dir: small\n  default: true")
    text = "---\nconfigs:\n- " + "\n- ".join(configs) + "\n---"
    card, files = read_card(text, "README.md"), ["big/train.csv", "small/train.csv"]
    assert find_layout(files, card, None, "it").splits == {"train": ["small/train.csv"]}
    assert find_layout(files, card, "big", "it").splits == {"train": ["big/train.csv"]}


@pytest.mark.parametrize(
    ("files", "config", "message"),
    [
        (
            ["hate/train/0.parquet", "joy/train/0.parquet"],
            None,
            "splits in several folders: hate, joy; choose one with",
        ),
        (
            ["hate/train/0.parquet", "joy/train/0.parquet"],
            "fear",
            "the configuration 'fear' is not known. Available: hate",
        ),
        (["train.csv"], "raw", "it has no configurations; leave data.config out"),
        (["train.csv", "train.jsonl"], None, "train is there in several formats: train.csv, train.jsonl"),
        (["train.csv", "train.csv.gz"], None, "train occurs twice: train.csv, train.csv.gz"),
        (["train.csv.gz", "train.csv.zst"], None, "train occurs twice: train.csv.gz, train.csv.zst"),
        (["data/unsplit-00000-of-00001.parquet"], None, "it has no rows of train, validation, test"),
    ],
)
def test_what_cannot_be_told_is_refused(files: list[str], config: str | None, message: str) -> None:
    with pytest.raises(UserError) as error:
        find_layout(files, Card(), config, "it")
    assert message in str(error.value)


def test_what_no_split_claims_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert find_layout(["train.csv", "sample_submission.csv"], Card(), None, "it").splits == {"train": ["train.csv"]}
    assert capsys.readouterr().err == "it: sample_submission.csv is not in any split, and not read\n"


@pytest.mark.parametrize("text", ["---\nconfigs: 3\n---", "---\nconfigs:\n- data_files: a.csv\n---", "---\na: [\n---"])
def test_a_card_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UserError, match=r"README.md: `datasets` cannot read the front matter .+ \(.+\)$"):
        read_card(text, "README.md")
