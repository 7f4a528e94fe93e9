"""A card says what is known, in the Hub's own format, and its code runs as it stands."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.origins import Origin, base_of, data_of
from emotion_lit.reporting.model_card import CardFacts, model_card
from tests.cli.conftest import Exported
from tests.cli.exports import export, run_cards, stated
from tests.conftest import SMALL

TEXTS = ("what a day!", "leave me alone")
REPORT: dict[str, Any] = {
    "before": {"accuracy": 0.2, "macro_f1": 0.1},
    "after": {"accuracy": 0.75, "macro_f1": 0.5, "micro_f1": float("nan")},
    "data": {"rows": {"train": 80, "validation": 10, "test": 10}},
}


def facts(base: Origin, data: Origin | None, **more: Any) -> CardFacts:
    """What is known of an export."""
    contract = Contract(["cheap", "dear"], False, None, 64, base.name, network_sha256="ab" * 32)
    return CardFacts("prices", more.pop("format", "hf"), contract, "lora", base, data, **more)


def test_what_came_from_the_hub_is_linked_with_its_scores() -> None:
    data = Origin("me/prices", on_hub=True, config="en", revision="v2")
    card = ModelCard(model_card(facts(Origin("google-bert/bert-base-uncased", on_hub=True), data, report=REPORT)))
    header: Any = card.data
    assert header.base_model == "google-bert/bert-base-uncased"
    assert header.datasets == ["me/prices"]
    assert header.pipeline_tag == "text-classification"
    found = {(one.metric_name, one.metric_value) for one in header.eval_results}
    assert found == {("Accuracy", 0.75), ("Macro-F1", 0.5)}
    where = header.eval_results[0]
    assert (where.dataset_type, where.dataset_config, where.dataset_revision) == ("me/prices", "en", "v2")
    assert "me/prices (configuration en, revision v2): 80 texts for training" in card.text


@pytest.mark.parametrize("format", ["hf", "adapter", "onnx"])
def test_nothing_is_claimed_about_data_of_others(format: str) -> None:
    base, data = Origin("../models/bert-base-uncased", on_hub=False), Origin("data/prices", on_hub=False)
    text = model_card(facts(base, data, report=REPORT, format=format))
    header: Any = ModelCard(text).data
    assert header.base_model is None
    assert header.datasets is None
    assert header.eval_results[0].dataset_type == "unknown"
    assert not re.search(r"\bemotions?\b|hashtag|annotator|English|feel", text, re.IGNORECASE)
    assert "models/bert" not in text
    if format == "adapter":
        assert "put the folder at ../bert-base-uncased, or export with --format hf" in text
        assert "abababababab" in text


@pytest.mark.parametrize("data", ["sample", "cirimus/super-emotion"])
def test_what_is_known_of_our_data_is_said(data: str) -> None:
    text = model_card(facts(Origin("x/y", on_hub=True), Origin(data, on_hub="/" in data)))
    assert "hashtags" in text
    header: Any = ModelCard(text).data
    assert "emotion" in header.tags


def checkpoint(backbone: str, dataset: str, ways: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a checkpoint knows of where it comes from."""
    paths = {f"{part}.{key}": "x" for part, key in (way.split(".") for way in ways)}
    return {
        "emotion_lit": {"backbone": {"name": backbone}, "paths": paths},
        "hyper_parameters": {"backbone": backbone},
        "datamodule_hyper_parameters": {"dataset": dataset, "config": "en"},
    }


def test_a_folder_is_no_hub_id_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = checkpoint(
        "models/bert", "data/tweets", ("hyper_parameters.backbone", "datamodule_hyper_parameters.dataset")
    )
    assert base_of(local) == Origin("./models/bert", on_hub=False)
    assert data_of(local) == Origin("data/tweets", on_hub=False)
    assert base_of(local, "me/bert-on-the-hub") == Origin("me/bert-on-the-hub", on_hub=True)  # of the same hash
    (tmp_path / "somewhere").mkdir()
    assert base_of(local, "somewhere") == Origin("./somewhere", on_hub=False)
    there = checkpoint("bert-base-uncased", "me/tweets")
    assert base_of(there) == base_of(there, "somewhere") == Origin("bert-base-uncased", on_hub=True)
    assert data_of(there) == Origin("me/tweets", on_hub=True, config="en")
    assert data_of(checkpoint("x", "tweets.csv")) == Origin("tweets.csv", on_hub=False)
    assert data_of(checkpoint("x", "")) is None
    assert base_of(checkpoint("embedded", "sample")).name == "sentence-transformers/all-MiniLM-L6-v2"
    assert data_of(checkpoint("embedded", "sample")) == Origin("sample", on_hub=False)


def test_the_code_of_every_card_runs_as_it_stands_without_our_package(
    exported: Exported, tiny_backbone: Path, tmp_path: Path
) -> None:
    folders, expected = [], []
    for several in (False, True):
        run, exports = exported(several)
        carried = Path(shutil.copytree(exports, tmp_path / f"carried {several}"))
        shutil.copytree(tiny_backbone, carried / tiny_backbone.name)  # brought along, as the card says
        predictions = load(run)(TEXTS)
        for format in ("hf", "adapter", "onnx"):
            folders.append(carried / format)
            one = [str([prediction.label for prediction in predictions])]
            expected.append([str(sorted(prediction.labels)) for prediction in predictions] if several else one)
    printed = run_cards(folders, tmp_path)
    for lines, wanted, folder in zip(printed, expected, folders, strict=True):
        several = stated(folder)["multi_label"]
        assert [str(sorted(eval(line))) if several else line for line in lines[-len(wanted) :]] == wanted  # noqa: S307


def test_a_card_of_somebodys_own_data(tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"text {place},{('cheap', 'dear')[place % 2]}" for place in range(60)]
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "mine").mkdir()
    for split in ("train", "validation", "test"):
        (tmp_path / "prices" / "mine" / f"{split}.csv").write_text("\n".join(["text,label", *rows]))
    shutil.copytree(tiny_backbone, tmp_path / "models" / "bert-base-uncased")
    main(
        [
            *("fit", *SMALL, "--data.dataset=prices/mine", "--model.backbone=models/bert-base-uncased"),
            *("--trainer.max_epochs=1", "--trainer.default_root_dir=logs", "--name=t"),
            *("--data.train_size=30", "--data.val_size=10", "--data.test_size=10", "--data.deduplicate=false"),
        ]
    )
    folder = export(Path("logs/t/version_0"), Path("out"), "adapter")
    text = (folder / "README.md").read_text()
    header: Any = ModelCard(text).data
    assert (header.base_model, header.datasets) == (None, None)
    assert not re.search(r"\bemotions?\b|hashtag|English", text, re.IGNORECASE)
    assert stated(folder)["base_model"] == "./models/bert-base-uncased"
    assert load(folder)("text 1").label == load("logs/t/version_0")("text 1").label
