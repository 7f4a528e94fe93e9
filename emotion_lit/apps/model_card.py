"""The model card of an export: what it is, how good, made from what, and how to use it."""

from pathlib import Path
from typing import Any

import yaml

from emotion_lit import __version__, platforms
from emotion_lit.data.records import SUFFIXES
from emotion_lit.data.records import kind as kind_of_file
from emotion_lit.evaluation.tables import headline_rows
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.names import dataset_name, listed
from emotion_lit.tables import markdown, markdown_table

Report = dict[str, Any]

USAGE = {
    "hf": """```python
from transformers import pipeline

classify = pipeline("text-classification", "FOLDER")
{decision}
```""",
    "adapter": """```python
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base = AutoModelForSequenceClassification.from_pretrained("{base}", num_labels={classes}, dtype="float32")
model = PeftModel.from_pretrained(base, "FOLDER").eval()
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
logits = model(**tokenizer("what a day!", return_tensors="pt")).logits  # the classes in order: {labels}
{decision}
```""",
    "onnx": """`model.onnx` is in single precision; `model_int8.onnx` has 8-bit weights and is faster, and less exact;
on CPUs without VNNI (Intel before Ice Lake, AMD before Zen 4) sums saturate and it is less exact still, so compare the
two there first.

```python
import json
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

about = json.load(open("FOLDER/labels.json", encoding="utf-8"))
tokenizer = Tokenizer.from_file("FOLDER/tokenizer.json")
encoded = tokenizer.encode_batch(["what a day!", "leave me alone"])
ids, mask = (np.array([getattr(e, key) for e in encoded], np.int64) for key in ("ids", "attention_mask"))
logits = onnxruntime.InferenceSession("FOLDER/model.onnx").run(None, {{"input_ids": ids, "attention_mask": mask}})[0]
{decision}
```""",
}
# The last lines: of one class a text, and of several.
DECISION = {
    "hf": (
        'print(classify(["what a day!"], truncation=True, max_length={max_length}))',
        """about = classify.model.config.emotion_lit
thresholds = dict(zip(about["labels"], about["thresholds"]))
for scores in classify(["what a day!"], truncation=True, max_length={max_length}, top_k=None):
    print([one["label"] for one in scores if one["score"] >= thresholds[one["label"]]])""",
    ),
    "adapter": (
        "print(logits.softmax(1).argmax(1))",
        "print(logits.sigmoid())  # a class is predicted from its threshold on; they are in labels.json",
    ),
    "onnx": (
        'print([about["labels"][row.argmax()] for row in logits])',
        """for row in 1 / (1 + np.exp(-logits)):
    print([name for name, p, least in zip(about["labels"], row, about["thresholds"]) if p >= least])""",
    ),
}


def model_card(
    model: EmotionClassifier, kind: str, base: str, data: dict[str, Any], report: Report | None, checked: str
) -> str:
    """The text of a model card, with the header that the Hub reads.

    Args:
        model: The model.
        kind: The format of the export.
        base: The name of the base model.
        data: The settings of the data that it was trained on.
        report: The report of its training, if it is at hand.
        checked: How the export was checked.
    """
    dataset = str(data.get("dataset", "sample"))
    header: dict[str, Any] = {
        "library_name": {"hf": "transformers", "adapter": "peft", "onnx": "onnx"}[kind],
        "pipeline_tag": "text-classification",
        "base_model": base,
        "tags": ["emotion", "emotion_lit"],
        "metrics": ["accuracy", "f1"],
    }
    if dataset.count("/") == 1 and not dataset.startswith(".") and kind_of_file(Path(dataset)) not in SUFFIXES:
        header["datasets"] = [dataset]
    usage = USAGE[kind].format(
        decision=DECISION[kind][model.multi_label].format(max_length=data.get("max_length", 128)),
        base=_in_code(base),
        classes=len(model.labels),
        labels=_in_code(listed(model.labels)),
    )
    several = "any number of classes a text" if model.multi_label else "one class a text"
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        f"# Emotions in text: {markdown(base)}, {model.tuning}",
        markdown(f"{base}, fine-tuned ({model.tuning}) to recognise {listed(model.labels)}: {several}."),
        "## Use",
        usage,
        "## Scores",
        _scores(report),
        "## Training data",
        markdown(_training_data(dataset_name({**data, "dataset": platforms.last_name(dataset)}), report)),
        "## Limits",
        f"Texts are cut after {data.get('max_length', 128)} tokens. Labels are what annotators, or the authors' "
        "hashtags, said of short English texts; what somebody feels is another matter. Scores are on texts of the same "
        "corpora, and lower elsewhere. Not meant for judging persons, nor for decisions about them.",
        "## Export",
        f"Made by emotion_lit {__version__}; {checked}",
    ]
    if model.multi_label:
        parts.insert(
            4,
            "A class is predicted where its probability is at least its threshold: `thresholds` in labels.json, or "
            "under `emotion_lit` in config.json, in the order of the labels.",
        )
    return "\n\n".join(parts) + "\n"


def _in_code(text: str) -> str:
    """Text for a block of code, which it cannot end."""
    return " ".join(text.replace("`", "'").splitlines())


def _scores(report: Report | None) -> str:
    if report is None:
        return "Not at hand: the report of the training was not beside the checkpoint."
    rows = headline_rows({name: report[name] for name in ("before", "after") if name in report})
    count = report["data"]["rows"].get("test")
    return f"On the same {count:,} test texts, before and after fine-tuning:\n\n{markdown_table(rows)}"


def _training_data(name: str, report: Report | None) -> str:
    if report is None:
        return f"{name}."
    rows = report["data"]["rows"]
    return f"{name}: {rows.get('train', 0):,} texts for training, {rows.get('validation', 0):,} for validation."
