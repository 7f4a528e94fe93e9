"""Public corpora as they are published: invented rows in the shape of each, with the settings of the README's table."""

import re
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from emotion_lit import EmotionDataModule
from emotion_lit.errors import UserError
from tests.conftest import ROOT

README = ROOT / "emotion_lit" / "data" / "README.md"

ROWS = 40
GO_EMOTIONS = ["admiration", "amusement", "anger", "neutral"]


def settings_of(corpus: str) -> dict[str, Any]:
    """What the README's table has for a corpus."""
    (row,) = re.findall(
        rf"^\| {re.escape(corpus)} \|.*\|(.*)\|$", README.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {key: yaml.safe_load(value) for key, value in re.findall(r"--data\.(\w+)=([^\s`]+)", row)}


def read(dataset: Path, **settings: Any) -> dict[str, list[str]]:
    """The labels of each text, over all splits, and how they were read."""
    data = EmotionDataModule(str(dataset), "embedded", deduplicate=False, **settings)
    names = data.label_names
    found: dict[str, list[str]] = {}
    for split in ("train", "validation", "test"):
        rows = data.rows(split)
        found |= {
            text: [names[index] for index in labels] for text, labels in zip(rows.texts, rows.labels, strict=True)
        }
    return found


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def test_dair_ai_emotion(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        rows = [f"i feel {number}; in {name};{('joy', 'sadness')[number % 2]}" for number in range(ROWS)]
        (tmp_path / f"{name}.txt").write_text(lines(*rows))
    assert not settings_of("dair-ai/emotion")
    found = read(tmp_path)
    assert found["i feel 1; in val"] == ["sadness"]
    assert len(found) == 3 * ROWS
    assert read(tmp_path / "train.txt")["i feel 0; in train"] == ["joy"]


def test_go_emotions_as_published(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        ids = ("2,3", "0", "1", "3")
        rows = [f'{name} a "text, {number}\t{ids[number % 4]}\teebb{number}' for number in range(ROWS)]
        (tmp_path / f"{name}.tsv").write_text(lines(*rows))
    found = read(tmp_path, labels=GO_EMOTIONS, **settings_of("GoEmotions"))
    assert found['dev a "text, 0'] == ["anger", "neutral"]
    assert found['test a "text, 1'] == ["admiration"]
    assert len(found) == 3 * ROWS


def test_go_emotions_of_each_rater(tmp_path: Path) -> None:
    head = f"text,id,author,subreddit,rater_id,example_very_unclear,{','.join(GO_EMOTIONS)}"
    marks = ("1,0,0,0", "0,1,1,0")
    rows = [
        f'"text, {number // 2}",e{number},me,r/all,{number % 2},False,{marks[number % 2]}' for number in range(ROWS)
    ]
    (tmp_path / "goemotions_1.csv").write_text(lines(head, *rows))
    settings = settings_of("GoEmotions, one row per annotator")
    data = EmotionDataModule(str(tmp_path / "goemotions_1.csv"), "embedded", **settings)
    assert data.label_names == GO_EMOTIONS
    assert sum(len(data.rows(split)) for split in ("train", "validation", "test")) == ROWS / 2
    assert set(data.rows("train").labels) == {(0, 1, 2)}


@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
def test_semeval_2018(suffix: str, tmp_path: Path) -> None:
    head = "ID\tTweet\tanger\tjoy\ttrust"
    marks = ("1\t0\t0", "0\t1\t1", "0\t0\t0")
    (tmp_path / f"train{suffix}").write_text(
        lines(head, *(f'2017-{number}\t"Worry, is #{number}\t{marks[number % 3]}' for number in range(ROWS)))
    )
    found = read(tmp_path / f"train{suffix}", **settings_of("SemEval-2018 E-c"))
    assert [found[f'"Worry, is #{number}'] for number in range(3)] == [["anger"], ["joy", "trust"], []]


def test_isear(tmp_path: Path) -> None:
    head = "ID|CITY|SUBJ|EMOT|Field1|MYKEY|SIT|STATE"
    rows = [
        f"1100{number}|1|2|{number % 2 + 1}|{('joy', 'fear')[number % 2]}|k|On {number}, at dawn á|1"
        for number in range(ROWS)
    ]
    (tmp_path / "isear.csv").write_text(lines(head, *rows), encoding="latin-1")
    found = read(tmp_path / "isear.csv", **settings_of("ISEAR"))
    assert (found["On 0, at dawn á"], found["On 1, at dawn á"]) == (["joy"], ["fear"])
    numbered = read(tmp_path / "isear.csv", **settings_of("ISEAR") | {"label_column": "EMOT"})
    assert numbered["On 1, at dawn á"] == ["2"]


def test_crowdflower(tmp_path: Path) -> None:
    rows = [f'{number},"{("empty", "worry")[number % 2]}","me","@you {number}, hi"' for number in range(ROWS)]
    (tmp_path / "text_emotion.csv").write_text(lines('"tweet_id","sentiment","author","content"', *rows))
    assert not settings_of("CrowdFlower")
    assert read(tmp_path / "text_emotion.csv")["@you 1, hi"] == ["worry"]


def test_meld(tmp_path: Path) -> None:
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    feelings = (("joy", "positive"), ("anger", "negative"))
    rows = [
        f'{number},"Oh, {number}!",Joey,{",".join(feelings[number % 2])},0,0,8,21,"00:16:16,059","00:16:21,731"'
        for number in range(ROWS)
    ]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}_sent_emo.csv").write_text(lines(head, *rows).replace("Oh", name))
    found = read(tmp_path, **settings_of("MELD"))
    assert (found["dev, 1!"], len(found)) == (["anger"], 3 * ROWS)
    with pytest.raises(UserError, match="the labels may be in the column 'Emotion' or 'Sentiment'; choose one with"):
        read(tmp_path)


def test_tweet_eval(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["anger", "joy", "optimism"])}
    )
    card = ["---", "configs:"]
    for config in ("emotion", "hate"):
        card += [f"- config_name: {config}", "  data_files:"]
        for split in ("train", "validation", "test"):
            texts = [f"{config} {split} {number}" for number in range(ROWS)]
            rows = {"text": texts, "label": [number % 3 for number in range(ROWS)]}
            file = f"{config}/{split}-00000-of-00001.parquet"
            (tmp_path / config).mkdir(exist_ok=True)
            datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / file))
            card += [f"  - split: {split}", f"    path: {file}"]
    (tmp_path / "README.md").write_text(lines(*card, "---"))
    found = read(tmp_path, **settings_of("tweet_eval"))
    assert (found["emotion test 1"], len(found)) == (["joy"], 3 * ROWS)


def test_our_own_predictions(tmp_path: Path) -> None:
    head = "id,text,label,score,labels,p_joy,p_fear,note"
    rows = [
        f"{number},text {number},joy,0.9,{('joy|fear', 'joy', 'fear')[number % 3]},0.9,0.6," for number in range(ROWS)
    ]
    (tmp_path / "predictions.csv").write_text(lines(head, *rows))
    found = read(tmp_path / "predictions.csv", multi_label=True)
    assert [found[f"text {number}"] for number in range(3)] == [["joy", "fear"], ["joy"], ["fear"]]
