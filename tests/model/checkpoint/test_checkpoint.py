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
from emotion_lit.model.checkpoint import DATA_KEY, portable, read_checkpoint, relative_path
from emotion_lit.model.factory import restore
from emotion_lit.model.precision import native_precision
from tests.conftest import ROOT, SMALL, Train, failing
from tests.faults.kills import make_backbone

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


def test_a_truncated_one_is_named(tiny_run: Path, tmp_path: Path) -> None:
    raw = (tiny_run / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match="truncated or damaged"):
        read_checkpoint(tmp_path / "cut.ckpt")


def test_changed_weights_are_noticed(tiny_run: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(tiny_run / "checkpoints" / "best.ckpt", weights_only=True)
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
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="train one with"):
        read_checkpoint("best")
    shutil.copytree(tiny_run, tmp_path / "logs" / "own" / "version_0")
    with pytest.raises(UserError, match=r"the newest here is logs/own/version_0/checkpoints/best\.ckpt"):
        read_checkpoint("best")


def test_a_run_folder_stands_for_its_best_checkpoint(tiny_run: Path) -> None:
    best = tiny_run / "checkpoints" / "best.ckpt"
    torch.testing.assert_close(load(tiny_run).probabilities(TEXTS), load(best).probabilities(TEXTS))


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


def test_lightning_loads_it_too(tiny_run: Path) -> None:
    model = EmotionClassifier.load_from_checkpoint(tiny_run / "checkpoints" / "best.ckpt")
    ours = restore(read_checkpoint(tiny_run)).network.state_dict()
    theirs = model.built.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(value.cpu(), ours[name]) for name, value in theirs.items())


def test_portable_settings_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"dataset": str(tmp_path / "data"), "labels": ["/s", "/"], "text_column": "/text"}
    assert portable(DATA_KEY, settings) == {**settings, "dataset": "data"}


def test_a_path_on_another_drive_is_kept_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def relpath(path: str, start: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")  # as ntpath does

    monkeypatch.setattr("os.path.relpath", relpath)
    assert relative_path(tmp_path / "bert") == "bert"


@pytest.fixture(scope="module")
def typed_absolute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose data and base model were given as absolute paths."""
    folder = tmp_path_factory.mktemp("machine")
    make_backbone(folder / "bert")
    shutil.copy(ROOT / "emotion_lit/data/sample/train.jsonl", folder / "own.jsonl")
    paths = [f"--data.dataset={folder / 'own.jsonl'}", f"--model.backbone={folder / 'bert'}"]
    words = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={folder / 'logs'}", "--name=own"]
    main(["fit", *SMALL, *paths, *words])
    return folder


@pytest.mark.parametrize("place", ["deeper/by/three", "."])
def test_absolute_paths_work_from_any_folder(
    typed_absolute: Path, texts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / place)
    run = typed_absolute / "logs/own/version_0"
    last = run / "checkpoints/last.ckpt"
    assert [text for text in strings(torch.load(last, weights_only=True)) if Path(text).is_absolute()] == []
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={texts_file}", "--prediction.path=out.csv"])
    main(["test", f"--ckpt_path={run}", "--evaluation.path=out.json"])
    main(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=2", "--trainer.limit_train_batches=1"])
    assert torch.load(last, weights_only=True)["epoch"] >= 1
    assert load(run).labels


def test_a_base_model_that_has_moved_is_named(
    typed_absolute: Path,
    texts_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "two" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "two" / "deeper")  # no way that was kept leads to it from here
    run = shutil.copytree(typed_absolute / "logs/own/version_0", tmp_path / "carried/own/version_0")
    words = ["predict", f"--ckpt_path={run}", f"--data.predict_path={texts_file}", "--prediction.path=-"]
    said = failing(capsys, *words)
    weights = read_checkpoint(run)["emotion_lit"]["backbone"]["network_sha256"][:12]
    assert f"the folder bert (weights {weights}) is not where it was" in said.replace(",", "")
    assert "--model.backbone FOLDER" in said
    main([*words, f"--model.backbone={typed_absolute / 'bert'}"])


def test_a_resumed_run_keeps_the_precision_that_was_chosen(typed_absolute: Path) -> None:
    kept = read_checkpoint(typed_absolute / "logs/own/version_0/checkpoints/last.ckpt")
    assert kept["trainer_parameters"]["trainer"]["precision"] == native_precision("cpu")


def test_the_temperature_is_kept_and_can_be_switched_off(tiny_run: Path, tmp_path: Path) -> None:
    report = json.loads((tiny_run / "report.json").read_text())
    kept = {name: read_checkpoint(tiny_run / "checkpoints" / f"{name}.ckpt") for name in ("best", "last")}
    assert kept["best"]["hyper_parameters"]["temperature"] == report["calibration"]["temperature"]
    assert kept["last"]["hyper_parameters"]["temperature"] is None  # a resumed run chooses anew
    (tmp_path / "texts.txt").write_text("what a day!\n")
    scores = []
    for name, more in (("kept", []), ("off", ["--model.temperature=1"])):
        output = tmp_path / f"{name}.jsonl"
        paths = [f"--data.predict_path={tmp_path / 'texts.txt'}", f"--prediction.path={output}"]
        main(["predict", f"--ckpt_path={tiny_run}", *paths, *more])
        scores.append(json.loads(output.read_text()))
    assert scores[0]["label"] == scores[1]["label"]
    assert scores[0]["score"] != scores[1]["score"]
