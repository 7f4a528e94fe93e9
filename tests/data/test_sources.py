"""The same rows and classes from the same content, wherever it lies; and one line for what cannot be read."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.data.settings import DataSettings
from emotion_lit.data.sources import read_dataset
from emotion_lit.errors import UserError
from tests.data.hub_server import hub_at, hub_server

NAMES = ["joy", "sadness", "anger"]
# Texts that readers of tables like to take for something else.
TEXTS = [
    "I won",
    "nan",
    "None",
    "007",
    "true",
    "it rained, again",
    'she said "no"',
    " 1e5 ",
    "NA",
    "é",
    "a; b",
    "2024-01-01",
]
ROWS = [{"text": text, "label": NAMES[place % 3]} for place, text in enumerate(TEXTS)]
SPLITS = {"train": ROWS[:6], "validation": ROWS[6:9], "test": ROWS[9:]}


def as_csv(rows: Sequence[dict[str, Any]], separator: str = ",") -> bytes:
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, rows[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().encode()


def as_jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def as_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(f"{row['text']};{row['label']}\n" for row in rows).encode()


def write(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def content(dataset: str, **settings: Any) -> dict[str, list[tuple[str, str]]]:
    """The texts and the names of their classes, by split."""
    labels, splits = read_dataset(DataSettings(dataset, **settings))
    return {
        split: [(text, labels.names[ids[0]]) for text, ids in zip(rows.texts, rows.labels, strict=True)]
        for split, rows in splits.items()
    }


def pairs(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["text"], row["label"]) for row in rows]


WHOLE = {split: pairs(rows) for split, rows in SPLITS.items()}


@pytest.mark.parametrize(("suffix", "made"), [("csv", as_csv), ("jsonl", as_jsonl), ("parquet", as_parquet)])
def test_a_file_and_folders_give_the_same_rows(
    suffix: str, made: Callable[[Sequence[dict[str, Any]]], bytes], tmp_path: Path
) -> None:
    assert content(write(tmp_path / "lone", {f"own.{suffix}": made(ROWS)}) + f"/own.{suffix}") == {"train": pairs(ROWS)}
    for name, files in {
        "plain": {f"{split}.{suffix}": made(rows) for split, rows in SPLITS.items()},
        "other names": {
            f"training.{suffix}": made(ROWS[:6]),
            f"my-dev.{suffix}": made(ROWS[6:9]),
            f"eval.{suffix}": made(ROWS[9:]),
        },
        "shards": {
            f"data/train-00000-of-00002.{suffix}": made(ROWS[:4]),
            f"data/train-00001-of-00002.{suffix}": made(ROWS[4:6]),
            f"data/validation-00000-of-00001.{suffix}": made(ROWS[6:9]),
            f"data/test-00000-of-00001.{suffix}": made(ROWS[9:]),
        },
        "data[1] *?": {f"{split}/part.{suffix}": made(rows) for split, rows in SPLITS.items()},
        "emotion": {f"{split}.{suffix}": made(rows) for split, rows in SPLITS.items()} | {"emotion.py": b"1 / 0\n"},
    }.items():
        assert content(write(tmp_path / name, files)) == WHOLE, name


@pytest.mark.parametrize("named", [False, True])
def test_what_datasets_saves_gives_the_same_rows(named: bool, tmp_path: Path) -> None:
    ordered = ["sadness", "joy", "anger"]
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=ordered)})
    made = {split: datasets.Dataset.from_list(rows) for split, rows in SPLITS.items()}
    if named:
        made = {split: rows.cast(features) for split, rows in made.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "splits")
    made["train"].save_to_disk(tmp_path / "lone")
    made["train"].to_parquet(tmp_path / "own.parquet")
    assert content(str(tmp_path / "splits")) == WHOLE
    assert content(str(tmp_path / "lone")) == content(str(tmp_path / "own.parquet")) == {"train": WHOLE["train"]}
    labels, _ = read_dataset(DataSettings(str(tmp_path / "splits")))
    assert labels.names == (tuple(ordered) if named else tuple(sorted(NAMES)))


def test_class_folders_give_the_same_rows(tmp_path: Path) -> None:
    files = {
        f"{split}/{row['label']}/{place}.txt": row["text"].encode()
        for split, rows in SPLITS.items()
        for place, row in enumerate(rows)
    }
    found = content(write(tmp_path / "splits", files))
    assert {split: sorted(rows) for split, rows in found.items()} == {split: sorted(r) for split, r in WHOLE.items()}
    files = {f"{row['label']}/{place}.txt": row["text"].encode() for place, row in enumerate(ROWS)}
    assert sorted(content(write(tmp_path / "lone", files))["train"]) == sorted(pairs(ROWS))


def test_lines_of_text_and_label_give_the_same_rows(tmp_path: Path) -> None:
    trimmed = {split: [(text.strip(), label) for text, label in rows] for split, rows in WHOLE.items()}
    files = {
        f"{name}.txt": as_lines(SPLITS[split]) for name, split in zip(("train", "val", "test"), SPLITS, strict=True)
    }
    assert content(write(tmp_path / "dair", files)) == trimmed
    for name, lines in {
        "tab": [f"{row['text']}\t{row['label']}" for row in ROWS],
        "label first": [f"{row['label']}\t{row['text']}" for row in ROWS],
        "fastText": [f"__label__{row['label']} {row['text']}" for row in ROWS],
        "header": ["text;label", *(f"{row['text']};{row['label']}" for row in ROWS)],
        "table": ["id\ttext\tlabel", *(f"{place}\t{row['text']}\t{row['label']}" for place, row in enumerate(ROWS))],
        "blank lines": ["", *(f"{row['text']};{row['label']}\n" for row in ROWS)],
    }.items():
        file = tmp_path / f"{name}.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert content(str(file)) == {"train": [(text.strip(), label) for text, label in pairs(ROWS)]}, name


def test_the_hub_gives_the_same_rows(tmp_path: Path) -> None:
    configs = b"- config_name: raw\n  data_files: raw/*.csv\n- config_name: plain\n  data_files: plain.csv\n"
    plain = {"raw/0.csv": as_csv(ROWS), "plain.csv": as_csv(ROWS[:3])}
    served = {
        "me/plain": write(tmp_path / "plain", {f"{split}.csv": as_csv(rows) for split, rows in SPLITS.items()}),
        "me/two": write(tmp_path / "two", {"README.md": b"---\nconfigs:\n" + configs + b"---\n", **plain}),
        "old": write(tmp_path / "old", {"old.py": b"1 / 0\n", "data/train.csv": as_csv(ROWS)}),
    }
    with hub_server({name: Path(folder) for name, folder in served.items()}, tmp_path / "cache"):
        assert content("me/plain") == content(served["me/plain"]) == WHOLE
        assert content("me/plain", revision="v1") == WHOLE
        assert content("old") == {"train": pairs(ROWS)}
        for config, rows in (("raw", ROWS), ("plain", ROWS[:3])):
            assert (
                content("me/two", config=config) == content(served["me/two"], config=config) == {"train": pairs(rows)}
            )
        for dataset, settings, line in (
            ("me/two", {}, "the dataset me/two has several configurations; name one with --data.config: raw, plain"),
            ("me/two", {"config": "row"}, "the configuration 'row' is not known; did you mean 'raw'?"),
            ("me/plain", {"revision": "v2"}, "the revision 'v2' is not known. Available: main, v1."),
            ("me/none", {}, "me/none was not found on the Hugging Face Hub, or is private"),
            ("me/gated", {}, "me/gated is gated: ask for access on its page on the Hugging Face Hub, then log in"),
            ("me/closed", {}, "cannot be downloaded: the Hugging Face Hub answers 403"),
            ("a..b/c", {}, "there is no file or folder a..b/c, and the Hub has no such name"),
        ):
            assert line in refused(dataset, **settings)


def test_offline_the_cache_serves(tmp_path: Path) -> None:
    folder = Path(write(tmp_path / "plain", {f"{split}.csv": as_csv(rows) for split, rows in SPLITS.items()}))
    with hub_server({"me/plain": folder}, tmp_path / "cache"):
        assert content("me/plain") == WHOLE
    with hub_at("http://127.0.0.1:9", tmp_path / "cache"):
        assert content("me/plain") == WHOLE
        line = "me/other is not in the cache, and the Hugging Face Hub cannot be reached; offline, data.dataset takes"
        assert line in refused("me/other")


def refused(dataset: str, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        read_dataset(DataSettings(dataset, **settings))
    assert "\n" not in str(error.value)
    return str(error.value)
