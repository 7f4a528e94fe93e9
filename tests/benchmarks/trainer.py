"""The peer: Hugging Face Trainer on the rows that ours trains on. Prints its measures as JSON."""

import argparse
import json
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, TaskType, get_peft_model
from torchmetrics.functional.classification import multiclass_f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from emotion_lit import EmotionDataModule
from emotion_lit.data.rows import SPLITS
from emotion_lit.model.backbone import locate
from emotion_lit.model.precision import BFLOAT, native_precision
from emotion_lit.training.optim import DEFAULT_HEAD_LEARNING_RATES, default_learning_rate
from emotion_lit.utils.memory import peak_memory_mb
from emotion_lit.utils.platforms import device_type

# The first project's recipe, and what makes Trainer fastest, with bfloat16 where this machine is faster in it. At its
# best, Trainer trains the same weights as `configs/full.yaml` and `configs/lora.yaml`, at the same learning rate.
SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {"per_device_train_batch_size": 16},
    "best": {"per_device_train_batch_size": 32, "train_sampling_strategy": "group_by_length"},
    "best on a GPU": {
        "per_device_train_batch_size": 128,
        "train_sampling_strategy": "group_by_length",
        "dataloader_num_workers": 4,
        "dataloader_pin_memory": True,
        "optim": "adamw_torch_fused",
    },
}
# As in `configs/lora.yaml`; peft's default has adapters for query and value alone.
ALL_LINEAR: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
HEAD_RATE = DEFAULT_HEAD_LEARNING_RATES["head"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", choices=sorted(SETTINGS), required=True)
    parser.add_argument("--tuning", choices=["head", "lora", "full"], required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--train-size", type=int, required=True)
    parser.add_argument("--eval-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--without-cudnn", action="store_true", help="Attention without cuDNN's plans.")
    options = parser.parse_args()
    torch.backends.cuda.enable_cudnn_sdp(not options.without_cudnn)
    settings, is_best = SETTINGS[options.settings], options.settings != "recipe"

    sizes = {"train_size": options.train_size, "val_size": options.eval_size, "test_size": options.eval_size}
    data = EmotionDataModule(options.dataset, options.backbone, **sizes)
    tokenizer = AutoTokenizer.from_pretrained(locate(options.backbone))
    splits = {split: _encoded(data, split, tokenizer) for split in SPLITS}
    model = _model(options.backbone, options.tuning, len(data.label_names), ALL_LINEAR if is_best else {})
    if is_best:
        rate = default_learning_rate(options.tuning, model.config.hidden_size)
        settings = {**settings, "bf16": native_precision(device_type()) == BFLOAT, "learning_rate": rate or HEAD_RATE}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and ".embeddings." not in name)
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            model,
            _arguments(output, options.epochs, settings),
            train_dataset=splits["train"],
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
        measures = {
            "train_seconds": seconds,
            "samples_per_second": options.epochs * len(splits["train"]) / seconds,
            **{f"{split}_macro_f1": _macro_f1(trainer.predict(splits[split])) for split in SPLITS[1:]},
            "peak_memory_mb": peak_memory_mb(),
        }
    sys.stdout.write(json.dumps(measures) + "\n")


def _encoded(data: EmotionDataModule, split: str, tokenizer: Any) -> Dataset:
    rows = data.rows(split)
    dataset = Dataset.from_dict({"text": rows.texts, "label": [ids[0] for ids in rows.labels]})
    return dataset.map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=data.settings.max_length),
        batched=True,
        remove_columns="text",
    )


def _model(backbone: str, tuning: str, labels: int, lora: dict[str, Any]) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(locate(backbone), num_labels=labels)
    if tuning == "lora":
        return get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, **lora))
    if tuning == "head":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("classifier"))
    return model


def _arguments(output: str, epochs: int, settings: dict[str, Any]) -> TrainingArguments:
    common = {
        "num_train_epochs": epochs,
        "learning_rate": 5e-5,
        "weight_decay": 0.01,
        "per_device_eval_batch_size": 32,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
    }
    return TrainingArguments(output, **{**common, **settings})


def _macro_f1(predicted: Any) -> float:
    logits = np.asarray(predicted.predictions)
    predictions, labels = torch.from_numpy(logits).argmax(dim=1), torch.as_tensor(predicted.label_ids)
    return float(multiclass_f1_score(predictions, labels, logits.shape[1], average="macro"))


if __name__ == "__main__":
    main()
