"""What `export` writes is used by those it is for, in a folder that was not there before, without a network."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.export_files import WEIGHT_FILES
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.backbone import load_tokenizer
from tests.cli.conftest import Exported
from tests.cli.exports import TEMPERATURE, export, spread, stated
from tests.conftest import ROOT, SMALL, Train, failing

TEXTS = ["what a day!", "I can't stop worrying about tomorrow", "she said yes", "leave me alone"]


def wanted(run: Path) -> list[dict[str, float]]:
    return [prediction.probabilities for prediction in load(run)(TEXTS)]


def test_an_adapter_of_the_embedded_encoder_names_it_on_the_hub(lora_run: Path, tmp_path: Path) -> None:
    folder = export(lora_run, tmp_path / "adapter", "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert header["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "| macro-F1 |" in (folder / "README.md").read_text()
    for ours, theirs in zip(wanted(lora_run), load(folder)(TEXTS), strict=True):
        assert theirs.probabilities == pytest.approx(ours, abs=1e-5)


def test_an_adapter_of_some_layers(train: Train, tmp_path: Path) -> None:
    run = spread(train("--model.tuning=lora", "--model.lora.targets=[query,value]"), tmp_path / "run" / "version_0")
    folder = export(run, tmp_path / "adapter", "adapter")
    base = checkpoints.read_checkpoint(run)[checkpoints.MODEL_KEY]["backbone"]
    assert load(folder, backbone=base)(TEXTS)[0].probabilities == pytest.approx(wanted(run)[0], abs=1e-5)


@pytest.mark.parametrize("kind", ["hf", "adapter", "onnx"])
def test_every_export_states_the_same(exported: Exported, kind: str) -> None:
    run, exports = exported(True)
    folder, model = exports / kind, load(run)
    about, config, tokenizer = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("labels.json", "config.json", "tokenizer_config.json")
    )
    assert about["labels"] == model.labels == [config["id2label"][str(place)] for place in range(7)]
    assert config["label2id"] == {label: place for place, label in enumerate(model.labels)}
    assert config["problem_type"] == "multi_label_classification"
    assert about["thresholds"] == config["emotion_lit"]["thresholds"] == list(model.decision.thresholds)
    assert (about["temperature"], about["temperature_in_weights"]) == (1.0, TEMPERATURE)
    assert (about["max_length"], about["pooling"]) == (128, "cls")
    assert (about["padding_side"], about["truncation_side"]) == ("right", "right")
    assert tokenizer["model_max_length"] == about["max_length"]
    assert (tokenizer["padding_side"], tokenizer["truncation_side"]) == ("right", "right")
    kept = checkpoints.read_checkpoint(run)["emotion_lit"]["backbone"]
    assert about["network_sha256"] == kept["network_sha256"]
    assert about["tokenizer_sha256"] == kept["tokenizer_sha256"]
    assert set(about["weights"]) == {file.name for file in folder.iterdir() if file.name in WEIGHT_FILES}
    assert load(folder)(TEXTS) == load(folder)(TEXTS)
    assert [one.labels for one in load(folder)(TEXTS)] == [one.labels for one in model(TEXTS)]


def edited(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **changes}), encoding="utf-8")


CONTRADICTIONS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "padding": ("hf", lambda folder: edited(folder / "tokenizer_config.json", padding_side="left"), "padding_side"),
    "cut": ("onnx", lambda folder: edited(folder / "tokenizer_config.json", model_max_length=64), "max_length is 64"),
    "side": ("adapter", lambda folder: edited(folder / "tokenizer_config.json", truncation_side="left"), "truncation"),
    "several": (
        "hf",
        lambda folder: edited(folder / "labels.json", multi_label=True, thresholds=[0.1] * 7),
        "disagree",
    ),
    "order": ("hf", lambda folder: edited(folder / "labels.json", labels=list("abcdefg")), "labels.json disagree"),
    "temperature": ("hf", lambda folder: edited(folder / "labels.json", temperature=2.0), "does not describe"),
    "two exports": ("hf", lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x"), "of another export"),
    "int8 of another": ("onnx", lambda folder: (folder / "model_int8.onnx").write_bytes(b"x"), r"model_int8.onnx"),
    "other words": (
        "onnx",
        lambda folder: (folder / "tokenizer.json").write_text(
            (folder / "tokenizer.json").read_text().replace('"##ing":', '"##gni":', 1)
        ),
        "its tokenizer is another one",
    ),
}


@pytest.fixture(scope="module")
def exports(exported: Exported) -> Path:
    return exported(False)[1]


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_an_export_that_contradicts_itself_is_refused(exports: Path, tmp_path: Path, name: str) -> None:
    kind, spoil, reason = CONTRADICTIONS[name]
    folder = Path(shutil.copytree(exports / kind, tmp_path / "odd"))
    spoil(folder)
    with pytest.raises(UserError, match=reason):
        load(folder)


def test_other_weights_are_refused(exports: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exports / "hf", tmp_path / "odd"))
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"its model.safetensors is not the one that was exported"):
        load(folder)


def test_exports_of_earlier_releases_load(exports: Path, tmp_path: Path) -> None:
    for kind in ("hf", "adapter", "onnx"):
        folder = Path(shutil.copytree(exports / kind, tmp_path / kind))
        known = ("labels", "multi_label", "thresholds", "max_length", "base_model")
        about = {key: value for key, value in stated(folder).items() if key in known}
        if kind == "hf":
            edited(folder / "config.json", emotion_lit=about)
            (folder / "labels.json").unlink()
        else:
            (folder / "config.json").unlink()
            (folder / "labels.json").write_text(json.dumps(about))
        assert load(folder)(TEXTS)[0].probabilities == load(exports / kind)(TEXTS)[0].probabilities
    shutil.copy(exports / "adapter" / "adapter_model.safetensors", tmp_path / "hf")
    with pytest.raises(UserError, match="of another export"):
        load(tmp_path / "hf")


def test_an_adapter_takes_its_own_base_alone(exports: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    other = AutoModel.from_pretrained(tiny_backbone)
    with torch.no_grad():
        other.embeddings.word_embeddings.weight[0] += 1
    other.save_pretrained(tmp_path / "other")
    load_tokenizer(str(tiny_backbone)).save_pretrained(tmp_path / "other")
    with pytest.raises(
        UserError, match=f"trained on the backbone .*{tiny_backbone.name}.* of {tmp_path / 'other'} are"
    ):
        load(exports / "adapter", backbone=str(tmp_path / "other"))
    # Another model where the base was is the same mistake.
    folder = Path(shutil.copytree(exports / "adapter", tmp_path / "export" / "adapter"))
    edited(folder / "labels.json", base_model="./nowhere/bert")
    if (folder / "config.json").is_file():  # which states the same
        stated = json.loads((folder / "config.json").read_text())["emotion_lit"]
        edited(folder / "config.json", emotion_lit={**stated, "base_model": "./nowhere/bert"})
    with pytest.raises(UserError, match=r"the folder ./nowhere/bert \(weights .*\), is neither there nor next to it"):
        load(folder)
    shutil.copytree(tmp_path / "other", tmp_path / "export" / "bert")
    with pytest.raises(UserError, match="give the original with backbone=FOLDER"):
        load(folder)
    shutil.rmtree(tmp_path / "export" / "bert")
    shutil.copytree(tiny_backbone, tmp_path / "export" / "bert")
    assert load(folder)(TEXTS)[0].probabilities == load(exports / "adapter")(TEXTS)[0].probabilities


@pytest.mark.parametrize("least", [0.0, 1.01])
def test_8_bit_weights_leave_by_the_gate_of_predict(
    exported: Exported,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    least: float,
) -> None:
    run, _ = exported(True)
    monkeypatch.setattr("emotion_lit.inference.agreement.SAME_LABELS", least)
    monkeypatch.setattr("emotion_lit.inference.agreement.MEAN_DIFFERENCE", 1.0)
    monkeypatch.setattr("emotion_lit.inference.export_checks.INT8_ROWS", 300)
    monkeypatch.setattr("emotion_lit.inference.export_checks.INT8_ROWS_ALONE", 300)
    folder = export(run, tmp_path / "onnx", "onnx")
    card, said = (folder / "README.md").read_text(), capsys.readouterr().err
    if least > 1:
        assert re.search(r"model_int8.onnx is not written: \d+ of 300 rows get a different label", said)
        assert not (folder / "model_int8.onnx").exists()
        assert "int8" not in card
        assert set(stated(folder)["weights"]) == {"model.onnx"}
    else:
        assert re.search(r"model_int8.onnx: \d+ of 300 rows get a different label", card)
        assert set(stated(folder)["weights"]) == {"model.onnx", "model_int8.onnx"}
    assert load(folder)(TEXTS)


def test_a_mean_head_leaves_as_onnx(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train("--model.tuning=head")
    words = ("export", f"--ckpt_path={run}", f"--output={tmp_path / 'out'}")
    assert "export with --format onnx" in failing(capsys, *words, "--format=hf")
    assert "has no adapter" in failing(capsys, *words, "--format=adapter")
    assert not (tmp_path / "out").exists()
    main([*words, "--format=onnx"])
    assert load(tmp_path / "out")(TEXTS)[0].probabilities == pytest.approx(wanted(run)[0], abs=1e-5)


KILLED = """
import os, signal, sys
import emotion_lit.cli.export as export
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
export.check_export = killed
export.main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_export_leaves_nothing(tiny_run: Path, tmp_path: Path) -> None:
    words = [f"--ckpt_path={tiny_run}", f"--output={tmp_path / 'there' / 'out'}"]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, capture_output=True)
    assert done.returncode == -9, done.stderr[-2000:]
    for _ in range(100):
        if not list((tmp_path / "there").iterdir()):
            break
        time.sleep(0.1)
    assert not list((tmp_path / "there").iterdir())


def test_an_export_that_says_something_else_is_not_kept(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = exported(False)
    monkeypatch.setattr("emotion_lit.inference.export_writers.merged_network", _spoilt)
    message = failing(capsys, "export", f"--ckpt_path={run}", f"--output={tmp_path / 'out'}")
    assert "the export differs from the checkpoint: with transformers' pipeline, 1 at a time" in message
    assert not list(tmp_path.iterdir())


def _spoilt(model: object) -> object:
    from emotion_lit.inference.lora_merge import merged_network

    network = merged_network(model)  # type: ignore[arg-type]
    network.classifier.weight.data.mul_(1.1)
    return network


def test_data_frames_get_columns(tiny_run: Path) -> None:
    model = load(tiny_run)
    texts = ["hooray", None, "oh no"]
    expected = [model("hooray").label, None, model("oh no").label]
    for frame in (pd.DataFrame({"body": texts, "n": [1, 2, 3]}), pl.DataFrame({"body": texts, "n": [1, 2, 3]})):
        labeled = model.frame(frame, "body")
        assert type(labeled) is type(frame)
        assert [value if isinstance(value, str) else None for value in labeled["label"].to_list()] == expected
        assert list(labeled.columns)[:4] == ["body", "n", "label", "score"]


def test_notebooks_show_bars(tiny_run: Path) -> None:
    model = load(tiny_run)
    assert "#e69f00" in model("hooray")._repr_html_()
    assert model(TEXTS)._repr_html_().count("<tr>") == len(TEXTS)


def test_the_tutorial_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "configs" / "tutorial.ipynb", as_version=4)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for cell in notebook.cells:
        cell.source = cell.source.replace('"quickstart.yaml"]', f'"quickstart.yaml", *{SMALL}]')
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "configs")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("<table>" in output.get("data", {}).get("text/html", "") for output in outputs)


def test_only_an_export_is_overwritten(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    words = ("export", f"--ckpt_path={tiny_run}", f"--output={tmp_path / 'mine'}", "--overwrite=true")
    assert "contains files that no export wrote" in failing(capsys, *words)
    assert (tmp_path / "mine" / "diary.txt").is_file()
    folder = export(tiny_run, tmp_path / "out", "onnx")
    main(["export", f"--ckpt_path={tiny_run}", f"--output={folder}", "--format=hf", "--overwrite=true"])
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "model.onnx").exists()


def test_an_export_that_a_server_has_open_stays_whole(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["export", f"--ckpt_path={tiny_run}", f"--output={tmp_path / 'hf'}"]
    main(words)
    before = sorted(path.name for path in (tmp_path / "hf").iterdir())
    replace = os.replace

    def refused(path: Path, target: Path) -> None:
        if path.suffix == ".part" and target.name == "hf":
            raise PermissionError(13, "Access is denied")
        replace(path, target)

    monkeypatch.setattr("os.replace", refused)
    assert "Access is denied" in failing(capsys, *words, "--overwrite=true")
    assert sorted(path.name for path in (tmp_path / "hf").iterdir()) == before
