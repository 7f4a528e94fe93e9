"""The code in a model card, which runs as it stands: texts are cut, and labels decided as the model decides."""

import json
from pathlib import PurePath

from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import Format
from emotion_lit.inference.origins import Origin

TEXTS = '["what a day!", "leave me alone"]'

ONE_LABEL = 'print([one["label"] for one in classify(' + TEXTS + ")])"
SEVERAL_LABELS = f"""stated = classify.model.config.emotion_lit
thresholds = dict(zip(stated["labels"], stated["thresholds"]))
for scores in classify({TEXTS}, top_k=None):
    print([one["label"] for one in scores if one["score"] >= thresholds[one["label"]]])"""
ONNX_ONE_LABEL = 'print([stated["labels"][row.argmax()] for row in logits])'
ONNX_SEVERAL_LABELS = """for row in (1 / (1 + np.exp(-logits))).tolist():
    print([label for label, p, least in zip(stated["labels"], row, stated["thresholds"]) if p >= least])"""


def snippet(format: Format, stated: Contract, base: Origin, repository: str | None) -> str:
    """Code that labels two texts, to be run in the folder of the export, or anywhere where that is on the Hub.

    Args:
        format: The format of the export.
        stated: What it states of itself.
        base: Its base model.
        repository: Where it is on the Hub, if it is.
    """
    where = json.dumps(repository or ".")
    if format == "onnx":
        return _onnx(where, stated, on_hub=repository is not None)
    decision = SEVERAL_LABELS if stated.multi_label else ONE_LABEL
    if format == "hf":
        return f"""from transformers import pipeline

classify = pipeline("text-classification", {where}, truncation=True)
{decision}"""
    name = json.dumps(base_place(base, repository))
    return f"""from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

base = AutoModelForSequenceClassification.from_pretrained(
    {name}, config=AutoConfig.from_pretrained({where}), dtype="float32", ignore_mismatched_sizes=True
)
model = PeftModel.from_pretrained(base, {where}).merge_and_unload()
tokenizer = AutoTokenizer.from_pretrained({where})
classify = pipeline("text-classification", model=model, tokenizer=tokenizer, truncation=True)
{decision}"""


def base_place(base: Origin, repository: str | None) -> str:
    """Where the code looks for a base model: on the Hub, or in a folder that has to be brought along.

    Args:
        base: The base model.
        repository: Where the export is on the Hub, if it is.
    """
    if base.on_hub:
        return base.name
    return f"{'.' if repository else '..'}/{PurePath(base.shown).name}"


def _onnx(where: str, stated: Contract, on_hub: bool) -> str:
    fetch = "from huggingface_hub import snapshot_download\n" if on_hub else ""
    folder = f"snapshot_download({where})" if on_hub else where
    return f"""import json

import numpy as np
import onnxruntime
{fetch}from tokenizers import Tokenizer

folder = {folder}
with open(f"{{folder}}/labels.json", encoding="utf-8") as file:
    stated = json.load(file)
tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")  # it cuts and pads
encoded = tokenizer.encode_batch({TEXTS})
ids, mask = (np.array([getattr(one, key) for one in encoded], np.int64) for key in ("ids", "attention_mask"))
session = onnxruntime.InferenceSession(f"{{folder}}/model.onnx")
logits = session.run(None, {{"input_ids": ids, "attention_mask": mask}})[0]
{ONNX_SEVERAL_LABELS if stated.multi_label else ONNX_ONE_LABEL}"""
