"""The code in a model card, which runs as it is: it truncates texts and applies the decision thresholds."""

import json
from pathlib import PurePath

from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import Format
from emotion_lit.inference.origins import Origin

TEXTS = '["what a day!", "leave me alone"]'

ONE_LABEL = 'print([one["label"] for one in classify(' + TEXTS + ")])"
SEVERAL_LABELS = f"""config = classify.model.config.emotion_lit
thresholds = dict(zip(config["labels"], config["thresholds"]))
for scores in classify({TEXTS}, top_k=None):
    print([one["label"] for one in scores if one["score"] >= thresholds[one["label"]]])"""
ONNX_ONE_LABEL = 'print([config["labels"][row.argmax()] for row in logits])'
ONNX_SEVERAL_LABELS = """for row in (1 / (1 + np.exp(-logits))).tolist():
    print([label for label, p, threshold in zip(config["labels"], row, config["thresholds"]) if p >= threshold])"""


def snippet(format: Format, contract: Contract, base: Origin, repository: str | None) -> str:
    """Code that labels two texts, to be run in the folder of the export, or anywhere if that is on the Hub.

    Args:
        format: The format of the export.
        contract: Its labels, thresholds and maximum length.
        base: Its base model.
        repository: Its repository on the Hub, if it has one.
    """
    where = json.dumps(repository or ".")
    if format == "onnx":
        return _onnx(where, contract, on_hub=repository is not None)
    decision = SEVERAL_LABELS if contract.multi_label else ONE_LABEL
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
    """The name or folder that the code loads the base model from.

    Args:
        base: The base model.
        repository: The repository of the export on the Hub, if it has one.
    """
    if base.on_hub:
        return base.name
    return f"{'.' if repository else '..'}/{PurePath(base.shown).name}"


def _onnx(where: str, contract: Contract, on_hub: bool) -> str:
    fetch = "from huggingface_hub import snapshot_download\n" if on_hub else ""
    folder = f"snapshot_download({where})" if on_hub else where
    return f"""import json

import numpy as np
import onnxruntime
{fetch}from tokenizers import Tokenizer

folder = {folder}
with open(f"{{folder}}/labels.json", encoding="utf-8") as file:
    config = json.load(file)
tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")  # it truncates and pads
encoded = tokenizer.encode_batch({TEXTS})
ids, mask = (np.array([getattr(one, key) for one in encoded], np.int64) for key in ("ids", "attention_mask"))
session = onnxruntime.InferenceSession(f"{{folder}}/model.onnx")
logits = session.run(None, {{"input_ids": ids, "attention_mask": mask}})[0]
{ONNX_SEVERAL_LABELS if contract.multi_label else ONNX_ONE_LABEL}"""
