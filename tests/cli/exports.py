"""Exports of tiny models as consumers use them, and the code of their cards."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.checkpoint import read_checkpoint, weights_sha256
from emotion_lit.model.factory import restore

Rows = Any  # an array, [texts, classes]

SEVERAL = ("--data.multi_label=true", "--model.threshold=0.3")
TEMPERATURE = 0.5

SENTENCE = "the cat sat on a mat and was never sad again although it rained all day in the small town by the sea"
WORDS = SENTENCE.split()
TEXTS = [
    *(
        "",
        " ",
        "a",
        "!",
        "😀",
        "👩‍👩‍👧‍👦 ❤️",
        "😭" * 30,
        "今日は嬉しい",
        "мне страшно",
        "أنا سعيد",
        "naïve\tcafé\n",
        "[SEP] [MASK]",
    ),
    *(" ".join((WORDS * 30)[place : place + length]) for place, length in enumerate(range(1, 44))),
    *(" ".join((WORDS * 30)[:length]) for length in (126, 127, 128, 511, 600)),
]

# Runs the code of each card in the folder that it is in, without our package, and prints what it prints.
RUN_CARDS = """
import json, os, re, sys
sys.modules["emotion_lit"] = None
sys.stdout.reconfigure(encoding="utf-8")
for folder in sys.argv[1:]:
    os.chdir(folder)
    card = open("README.md", encoding="utf-8").read()
    print("====")
    exec(re.search("```python\\n(.*?)```", card, re.DOTALL).group(1), {})
"""


def spread(run: Path, copy: Path) -> Path:
    """A run whose probabilities are far apart; those of a short training are alike, whatever becomes of them."""
    file = Path(shutil.copytree(run, copy)) / "checkpoints" / "best.ckpt"
    model = restore(read_checkpoint(file))
    rows = [model.tokenizer(text, truncation=True, max_length=128)["input_ids"] for text in TEXTS if text.strip()]
    with torch.inference_mode():
        logits = torch.cat([model.network(torch.tensor([row])) for row in rows])
    layer = model.network.classifier
    head = next(f"network.{name}" for name, module in model.network.named_modules() if module is layer)
    checkpoint = torch.load(file, weights_only=True)
    weights, scale = checkpoint["state_dict"], 0.06 / logits.std(dim=0)
    weights[f"{head}.weight"] = weights[f"{head}.weight"] * scale[:, None]
    weights[f"{head}.bias"] = (weights[f"{head}.bias"] - logits.mean(dim=0)) * scale
    checkpoint["emotion_lit"]["weights_sha256"] = weights_sha256(weights)
    checkpoint["hyper_parameters"]["temperature"] = TEMPERATURE
    torch.save(checkpoint, file)
    return copy


def export(run: Path, folder: Path, format: str, *more: str) -> Path:
    """Exports a run through the command line."""
    main(["export", f"--ckpt_path={run}", f"--output={folder}", f"--format={format}", *more])
    return folder


def stated(folder: Path) -> dict[str, Any]:
    """What an export states of itself."""
    found: dict[str, Any] = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return found


def code_of(folder: Path) -> str:
    """The code in a card."""
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def run_cards(folders: Iterable[Path], home: Path, **environment: str) -> list[list[str]]:
    """The lines that the code of each card prints, in one fresh process with empty caches and no network."""
    variables = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HOME": str(home), "PATH": "", **environment}
    command = [sys.executable, "-c", RUN_CARDS, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=variables, cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    return [part.strip().splitlines() for part in done.stdout.split("====\n")[1:]]


def by_pipeline(model: Any, tokenizer: Any, labels: Sequence[str]) -> Callable[[list[str]], Rows]:
    """The pipeline of transformers."""
    classify: Any = pipeline("text-classification", model=model, tokenizer=tokenizer, truncation=True)

    def probabilities(texts: list[str]) -> Rows:
        rows = [{one["label"]: one["score"] for one in row} for row in classify(texts, top_k=None, batch_size=32)]
        return np.array([[row[label] for label in labels] for row in rows])

    return probabilities


def by_network(network: Any, tokenizer: Any, several: bool) -> Callable[[list[str]], Rows]:
    """A network of transformers or peft."""

    @torch.inference_mode()
    def probabilities(texts: list[str]) -> Rows:
        parts = []
        for start in range(0, len(texts), 32):
            inputs = tokenizer(texts[start : start + 32], padding=True, truncation=True, return_tensors="pt")
            logits = network.eval()(**inputs).logits
            parts.append(logits.sigmoid() if several else logits.softmax(1))
        return torch.cat(parts).numpy()

    return probabilities


def by_onnx(folder: Path, name: str, several: bool) -> Callable[[list[str]], Rows]:
    """ONNX Runtime."""
    import onnxruntime

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / name))

    def probabilities(texts: list[str]) -> Rows:
        parts = []
        for start in range(0, len(texts), 32):
            encoded = tokenizer.encode_batch(texts[start : start + 32])
            inputs = {
                "input_ids": np.array([one.ids for one in encoded], np.int64),
                "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
            }
            logits = torch.from_numpy(session.run(None, inputs)[0])
            parts.append(logits.sigmoid() if several else logits.softmax(1))
        return torch.cat(parts).numpy()

    return probabilities


def by_load(folder: Path, **options: Any) -> Callable[[list[str]], Rows]:
    """Our own `load`; blanks have no label."""
    model = load(folder, **options)
    return lambda texts: model.probabilities(texts).numpy()


def by_predict(folder: Path, scratch: Path, labels: Sequence[str], *more: str) -> Callable[[list[str]], Rows]:
    """Our own `predict`."""

    def probabilities(texts: list[str]) -> Rows:
        source, target = scratch / "texts.jsonl", scratch / "labels.parquet"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        main(
            [
                *("predict", f"--ckpt_path={folder}", f"--data.predict_path={source}", *more),
                *(f"--prediction.path={target}", "--prediction.overwrite=true"),
            ]
        )
        table = pq.read_table(target)
        columns = [table[f"p_{label}"].to_numpy(zero_copy_only=False).astype(float) for label in labels]
        return np.stack(columns, axis=1)

    return probabilities


def ways(folder: Path, format: str, base: Path, scratch: Path) -> dict[str, Callable[[list[str]], Rows]]:
    """All ways to use an export, by their names; `adapter merged` is a format of its own here."""
    about = stated(folder)
    labels, several = about["labels"], about["multi_label"]
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    if format == "hf":
        own: Any = AutoModelForSequenceClassification.from_pretrained(folder)
        return {
            "pipeline": by_pipeline(str(folder), None, labels),
            "AutoModel": by_network(own, tokenizer, several),
            "load": by_load(folder),
            "predict": by_predict(folder, scratch, labels),
        }
    if format == "onnx":
        return {
            "ONNX Runtime": by_onnx(folder, "model.onnx", several),
            "load": by_load(folder),
            "predict": by_predict(folder, scratch, labels),
        }
    config = AutoConfig.from_pretrained(folder)
    network: Any = AutoModelForSequenceClassification.from_pretrained(base, config=config, dtype="float32")
    tuned: Any = PeftModel.from_pretrained(network, folder)
    if format == "adapter":
        return {
            "pipeline": by_pipeline(tuned, tokenizer, labels),
            "peft": by_network(tuned, tokenizer, several),
            "load": by_load(folder, backbone=str(base)),
            "predict": by_predict(folder, scratch, labels, f"--model.backbone={base}"),
        }
    merged = tuned.merge_and_unload()
    return {"pipeline": by_pipeline(merged, tokenizer, labels), "AutoModel": by_network(merged, tokenizer, several)}
