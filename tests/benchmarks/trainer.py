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
from emotion_lit.memory import peak_memory_mb
from emotion_lit.model.backbone import locate

# The first project's recipe, and what makes Trainer fastest on a CPU that computes bfloat16.
SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {"per_device_train_batch_size": 16},
    "best": {"per_device_train_batch_size": 32, "bf16": True, "train_sampling_strategy": "group_by_length"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", choices=sorted(SETTINGS), required=True)
    parser.add_argument("--tuning", choices=["head", "lora", "full"], required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--train-size", type=int, required=True)
    parser.add_argument("--eval-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    options = parser.parse_args()

    data = EmotionDataModule(
        options.dataset,
        options.backbone,
        train_size=options.train_size,
        val_size=options.eval_size,
        test_size=options.eval_size,
    )
    folder = locate(options.backbone)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encoded(split: str) -> Dataset:
        rows = data.rows(split)
        dataset = Dataset.from_dict({"text": rows.texts, "label": [ids[0] for ids in rows.labels]})
        return dataset.map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=data.max_length),
            batched=True,
            remove_columns="text",
        )

    splits = {split: encoded(split) for split in ("train", "validation", "test")}
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(data.label_names))
    if options.tuning == "lora":
        model = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS))
    elif options.tuning == "head":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("classifier"))

    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output,
            num_train_epochs=options.epochs,
            learning_rate=5e-5,
            weight_decay=0.01,
            per_device_eval_batch_size=32,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            dataloader_pin_memory=False,
            use_cpu=not torch.cuda.is_available(),
            **SETTINGS[options.settings],
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=splits["train"],
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start

        def macro_f1(split: str) -> float:
            predicted = trainer.predict(splits[split])
            return _macro_f1(np.asarray(predicted.predictions), predicted.label_ids)

        measures = {
            "train_seconds": seconds,
            "samples_per_second": options.epochs * len(splits["train"]) / seconds,
            "validation_macro_f1": macro_f1("validation"),
            "test_macro_f1": macro_f1("test"),
            "peak_memory_mb": peak_memory_mb(),
        }
    sys.stdout.write(json.dumps(measures) + "\n")


def _macro_f1(logits: Any, labels: Any) -> float:
    predictions = torch.from_numpy(logits).argmax(dim=1)
    return float(multiclass_f1_score(predictions, torch.as_tensor(labels), logits.shape[1], average="macro"))


if __name__ == "__main__":
    main()
