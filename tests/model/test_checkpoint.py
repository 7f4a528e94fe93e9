import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit import EmotionClassifier, load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.model import backbone
from emotion_lit.model.checkpoint import portable, read_checkpoint
from tests.conftest import Train

TEXTS = ["what a day!", "I can't stop worrying", "the shop opens at nine"]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in (*value.keys(), *value.values()) for text in strings(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
@pytest.mark.parametrize("name", ["best", "last"])
def test_it_loads_without_executing_and_holds_no_absolute_path(train: Train, tuning: str, name: str) -> None:
    file = train(f"--model.tuning={tuning}", "--model.learning_rate=1e-3") / "checkpoints" / f"{name}.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    assert [text for text in strings(checkpoint) if Path(text).is_absolute()] == []
    assert str(Path.home()).encode() not in file.read_bytes()


@pytest.mark.parametrize(("tuning", "megabytes"), [("head", 4), ("lora", 4)])
def test_only_what_was_trained_is_kept(train: Train, tuning: str, megabytes: int) -> None:
    file = train(f"--model.tuning={tuning}", "--model.learning_rate=1e-3") / "checkpoints" / "best.ckpt"
    assert file.stat().st_size < megabytes * 2**20


def test_a_full_one_needs_no_base_model(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = train("--model.tuning=full", "--model.learning_rate=1e-3") / "checkpoints" / "best.ckpt"
    wanted = load(file).probabilities(TEXTS)

    def missing(name: str) -> str:
        raise AssertionError(f"looked for the base model {name}")

    monkeypatch.setattr(backbone, "locate", missing)
    carried = shutil.copy(file, tmp_path / "model.ckpt")
    torch.testing.assert_close(load(carried).probabilities(TEXTS), wanted)


def test_a_truncated_one_is_named(lora_run: Path, tmp_path: Path) -> None:
    raw = (lora_run / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match="truncated or damaged"):
        read_checkpoint(tmp_path / "cut.ckpt")


def test_changed_weights_are_noticed(lora_run: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(lora_run / "checkpoints" / "best.ckpt", weights_only=True)
    next(iter(checkpoint["state_dict"].values())).view(-1)[0] += 1
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(UserError, match="its weights are not those that were saved"):
        read_checkpoint(tmp_path / "changed.ckpt")


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps({"a": io.BytesIO()}))
    with zipfile.ZipFile(tmp_path / "zip.ckpt", "w") as archive:
        archive.writestr("a.txt", "hello")
    for name in ("other", "text", "pickle", "zip"):
        with pytest.raises(UserError, match=rf"{name}\.ckpt"):
            read_checkpoint(tmp_path / f"{name}.ckpt")


def test_a_missing_one_says_where_the_newest_is(
    lora_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="train one with"):
        read_checkpoint("best")
    shutil.copytree(lora_run, tmp_path / "logs" / "own" / "version_0")
    with pytest.raises(UserError, match=r"the newest here is logs/own/version_0/checkpoints/best\.ckpt"):
        read_checkpoint("best")


def test_a_run_folder_stands_for_its_best_checkpoint(lora_run: Path) -> None:
    best = lora_run / "checkpoints" / "best.ckpt"
    torch.testing.assert_close(load(lora_run).probabilities(TEXTS), load(best).probabilities(TEXTS))


def test_another_backbone_is_refused_by_name(lora_run: Path, tmp_path: Path) -> None:
    network: Any = backbone.load_network("embedded", ["a", "b"], multi_label=False, dropout=None)
    with torch.no_grad():
        network.base_model.embeddings.word_embeddings.weight += 0.01
    network.base_model.save_pretrained(tmp_path)
    backbone.load_tokenizer("embedded").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="trained on the backbone embedded .weights ed256719ce5c") as error:
        load(lora_run, backbone=str(tmp_path))
    assert tmp_path.name in str(error.value)


def test_the_same_backbone_may_stand_elsewhere(lora_run: Path, tmp_path: Path) -> None:
    network: Any = backbone.load_network("embedded", ["a", "b"], multi_label=False, dropout=None)
    network.base_model.save_pretrained(tmp_path)
    backbone.load_tokenizer("embedded").save_pretrained(tmp_path)
    moved = load(lora_run, backbone=str(tmp_path))
    torch.testing.assert_close(moved.probabilities(TEXTS), load(lora_run).probabilities(TEXTS))


def test_lightning_loads_it_too(lora_run: Path) -> None:
    model = EmotionClassifier.load_from_checkpoint(lora_run / "checkpoints" / "best.ckpt")
    ours = load(lora_run).model.state_dict()
    assert all(torch.equal(value.cpu(), ours[name].cpu()) for name, value in model.state_dict().items())


def test_portable_settings_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert portable({"a": [str(tmp_path / "data"), "embedded"], "b": 1}) == {"a": ["data", "embedded"], "b": 1}


def test_the_temperature_is_kept_and_can_be_switched_off(lora_run: Path, tmp_path: Path) -> None:
    report = json.loads((lora_run / "report.json").read_text())
    kept = {name: read_checkpoint(lora_run / "checkpoints" / f"{name}.ckpt") for name in ("best", "last")}
    assert kept["best"]["hyper_parameters"]["temperature"] == report["calibration"]["temperature"]
    assert kept["last"]["hyper_parameters"]["temperature"] is None  # a resumed run chooses anew
    (tmp_path / "texts.txt").write_text("what a day!\n")
    scores = []
    for name, more in (("kept", []), ("off", ["--model.temperature=1"])):
        output = tmp_path / f"{name}.jsonl"
        paths = [f"--data.predict_path={tmp_path / 'texts.txt'}", f"--prediction.path={output}"]
        main(["predict", f"--ckpt_path={lora_run}", *paths, *more])
        scores.append(json.loads(output.read_text()))
    assert scores[0]["label"] == scores[1]["label"]
    assert scores[0]["score"] != scores[1]["score"]
