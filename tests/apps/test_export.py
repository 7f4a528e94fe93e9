"""What `export` writes is used by those it is for, in a folder that was not there before, without a network."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.backbone import locate
from tests.conftest import ROOT, Train, failing

TEXTS = ["what a day!", "I can't stop worrying about tomorrow", "she said yes", "leave me alone"]

PIPELINE = """
import json, sys
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1])
print(json.dumps(classify(json.loads(sys.argv[2]), top_k=None)))
"""
ADAPTER = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, texts, base = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=7, dtype="float32")
model = PeftModel.from_pretrained(network, folder).eval()
inputs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
inputs.pop("token_type_ids", None)
print(json.dumps(model(**inputs).logits.softmax(1).tolist()))
"""


def consume(program: str, folder: Path, tmp_path: Path, *more: str) -> str:
    """Runs a program of the consumer's, after the export was carried elsewhere, with empty caches and no network."""
    carried = tmp_path / "carried" / "far away"
    shutil.copytree(folder, carried)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty"), "HOME": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-c", program, str(carried), json.dumps(TEXTS), *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def export(run: Path, folder: Path, kind: str) -> Path:
    main(["export", f"--ckpt_path={run}", f"--output={folder}", f"--format={kind}"])
    return folder


def wanted(run: Path) -> list[dict[str, float]]:
    return [prediction.probabilities for prediction in load(run)(TEXTS)]


@pytest.mark.parametrize("more", [["--model.tuning=lora", "--model.learning_rate=1e-3"], ["--model.tuning=full"]])
def test_a_pipeline_gives_our_probabilities(train: Train, tmp_path: Path, more: list[str]) -> None:
    run = train(*more)
    said = json.loads(consume(PIPELINE, export(run, tmp_path / "hf", "hf"), tmp_path))
    for theirs, ours in zip(said, wanted(run), strict=True):
        assert {one["label"]: one["score"] for one in theirs} == pytest.approx(ours, abs=1e-5)


def test_a_pipeline_gives_several_labels(train: Train, tmp_path: Path) -> None:
    run = train("--model.tuning=full", "--data.multi_label=true")
    said = json.loads(consume(PIPELINE, export(run, tmp_path / "hf", "hf"), tmp_path))
    for theirs, ours in zip(said, wanted(run), strict=True):
        assert {one["label"]: one["score"] for one in theirs} == pytest.approx(ours, abs=1e-5)
    assert load(tmp_path / "hf")(TEXTS) == load(tmp_path / "hf")(TEXTS)
    assert [p.labels for p in load(tmp_path / "hf")(TEXTS)] == [p.labels for p in load(run)(TEXTS)]


@pytest.mark.parametrize("kind", ["hf", "onnx"])
def test_the_card_decides_as_we_do_about_several_labels(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    run = train("--model.tuning=full", "--data.multi_label=true")
    folder = export(run, tmp_path / kind, kind)
    capsys.readouterr()
    exec(code_of(folder).replace("FOLDER", str(folder)), {})  # noqa: S102, as the card's reader would
    texts = ["what a day!", "leave me alone"][: 1 if kind == "hf" else 2]
    printed = [sorted(ast.literal_eval(line)) for line in capsys.readouterr().out.splitlines()]
    assert printed == [sorted(one.labels) for one in load(run)(texts)]


@pytest.mark.parametrize("targets", [pytest.param("all-linear", marks=pytest.mark.slow), "[query,value]"])
def test_peft_loads_the_adapter_and_the_head(train: Train, tmp_path: Path, targets: str) -> None:
    run = train(
        "--model.backbone=embedded",
        "--model.tuning=lora",
        "--model.learning_rate=1e-3",
        f"--model.lora.targets={targets}",
    )
    folder = export(run, tmp_path / "adapter", "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
    said = np.array(json.loads(consume(ADAPTER, folder, tmp_path, locate("embedded"))))
    assert said == pytest.approx(np.array([list(one.values()) for one in wanted(run)]), abs=1e-5)


def code_of(folder: Path) -> str:
    """The code in a card."""
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_script_of_the_card_runs(lora_run: Path, tmp_path: Path) -> None:
    folder = export(lora_run, tmp_path / "onnx", "onnx")
    program = "import sys\n" + code_of(folder).replace('"FOLDER/', 'sys.argv[1] + "/')
    printed = consume(program, folder, tmp_path)
    model = load(lora_run)
    assert printed == str([model(text).label for text in ("what a day!", "leave me alone")])
    assert re.search(r"model_int8.onnx: \d+ of 256 rows get other labels", (folder / "README.md").read_text())
    assert (folder / "model_int8.onnx").stat().st_size < (folder / "model.onnx").stat().st_size


@pytest.mark.parametrize("kind", ["hf", "adapter", "onnx"])
def test_load_takes_an_exported_folder(lora_run: Path, tmp_path: Path, kind: str) -> None:
    folder = export(lora_run, tmp_path / kind, kind)
    for ours, theirs in zip(load(lora_run)(TEXTS), load(folder)(TEXTS), strict=True):
        assert theirs.label == ours.label
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-5)
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert header["pipeline_tag"] == "text-classification"
    assert header["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "| macro-F1 |" in (folder / "README.md").read_text()


def test_a_mean_head_leaves_as_onnx(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train("--model.tuning=head")
    words = ("export", f"--ckpt_path={run}", f"--output={tmp_path / 'out'}")
    assert "export with --format onnx" in failing(capsys, *words, "--format=hf")
    assert "has no adapter" in failing(capsys, *words, "--format=adapter")
    assert not (tmp_path / "out").exists()
    main([*words, "--format=onnx"])
    assert "There is already" not in failing(capsys, *words, "--format=onnx")
    assert load(tmp_path / "out")(TEXTS)[0].probabilities == pytest.approx(wanted(run)[0], abs=1e-5)


def test_an_export_that_says_something_else_is_not_kept(
    lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_lit.inference.exports.merged_network", _spoilt)
    message = failing(capsys, "export", f"--ckpt_path={lora_run}", f"--output={tmp_path / 'out'}")
    assert "does not say what the checkpoint says" in message
    assert not list(tmp_path.iterdir())


def _spoilt(model: object) -> object:
    from emotion_lit.inference.merged import merged_network

    network = merged_network(model)  # type: ignore[arg-type]
    network.classifier.weight.data.mul_(1.1)
    return network


def test_it_is_uploaded(lora_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda _, name, exist_ok: calls.append(name))
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda _, **what: calls.append(what["folder_path"]))
    words = ["export", f"--ckpt_path={lora_run}", f"--output={tmp_path / 'hf'}", "--push_to_hub=me/emotions"]
    main(words)
    assert calls == ["me/emotions", str(tmp_path / "hf")]


def test_data_frames_get_columns(lora_run: Path) -> None:
    model = load(lora_run)
    texts = ["hooray", None, "oh no"]
    expected = [model("hooray").label, None, model("oh no").label]
    for frame in (pd.DataFrame({"body": texts, "n": [1, 2, 3]}), pl.DataFrame({"body": texts, "n": [1, 2, 3]})):
        labelled = model.frame(frame, "body")
        assert type(labelled) is type(frame)
        assert [value if isinstance(value, str) else None for value in labelled["label"].to_list()] == expected
        assert list(labelled.columns)[:4] == ["body", "n", "label", "score"]


def test_notebooks_show_bars(lora_run: Path) -> None:
    model = load(lora_run)
    assert "#e69f00" in model("hooray")._repr_html_()
    assert model(TEXTS)._repr_html_().count("<tr>") == len(TEXTS)


def test_the_tutorial_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "configs" / "tutorial.ipynb", as_version=4)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for cell in notebook.cells:
        cell.source = cell.source.replace('"quickstart.yaml"]', '"quickstart.yaml", "--data.train_size=140"]')
        cell.source = cell.source.replace('quickstart.yaml"', 'quickstart.yaml"')
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "configs")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("<table>" in output.get("data", {}).get("text/html", "") for output in outputs)


def test_only_an_export_is_overwritten(lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    words = ("export", f"--ckpt_path={lora_run}", f"--output={tmp_path / 'mine'}", "--overwrite=true")
    assert "holds something else than an export" in failing(capsys, *words)
    assert (tmp_path / "mine" / "diary.txt").is_file()
    folder = export(lora_run, tmp_path / "out", "onnx")
    main(["export", f"--ckpt_path={lora_run}", f"--output={folder}", "--format=hf", "--overwrite=true"])
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "model.onnx").exists()


def test_an_export_that_a_server_has_open_stays_whole(
    lora_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["export", f"--ckpt_path={lora_run}", f"--output={tmp_path / 'hf'}"]
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
